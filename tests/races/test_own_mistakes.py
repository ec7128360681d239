"""A race file with a mistake of its author: the error says that it is a mistake, and where it is."""

from __future__ import annotations

import json

import pytest

import kemu
from kemu.kernel import kthread
from kemu.harness.race import Race
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Outcome, Side
from tests.races.test_user_race import kemu_command, small_race

FILE = '''
import kemu
from neighbour import LABELS

class Shared(kemu.PerCPU):
    lock = kemu.Lock()
    count = kemu.Word()

race = kemu.Race("mine", cpus=2, labels=LABELS)

def step(s):
    {body}

@race.before(step)
def step_before(s):
    {body}

@race.actor(cpu=0)
def one(t):
    with t.window():
        step(Shared.on(0))

@race.actor(cpu=1)
def two(t):
    with t.window():
        Shared.on(0).count.add(1)

@race.invariant()
def counted(t):
    assert Shared.on(0).count.load() < 100

race.force(hold=one, at="mine:here", until=(two, "done"))
'''


@pytest.fixture
def run(tmp_path):
    """Run the race with that body, and labels in a module beside its file."""
    def kemu_race(body: str, *options: str, labels: dict[str, str] | None = None):
        (tmp_path / "neighbour.py").write_text(f"LABELS = {labels or {}!r}")
        (tmp_path / "mine.py").write_text(FILE.format(body=body))
        return kemu_command("race", "mine.py", "--trials", "2", *options, cwd=tmp_path)

    return kemu_race


def test_held_with_a_lock(run):
    """The script lacks a word; the fixed kernel is not broken."""
    done = run("s.lock.lock(); kemu.point('mine:here'); s.lock.unlock()")
    assert (done.returncode, 'kind="locked"' in done.stderr) == (64, True), done


def test_exception(run):
    """What nobody catches is a mistake of the file, and names the line."""
    done = run("kemu.point('mine:here'); {}['nothing']")
    assert done.returncode == 64, done
    assert 'mine.py", line 16, in step_before' in done.stderr
    assert "{}['nothing']" in done.stderr


def test_label(run):
    """A place in braces that there is not."""
    done = run("s.count.add(100); kemu.point('mine:here')",
               labels={"mine:here": "{nobody} is here"})
    assert (done.returncode, "nobody" in done.stderr, "label" in done.stderr) == (64, True, True), done


def test_what_tasks_print(run):
    """Its output is not part of the answer: JSON stays JSON."""
    done = run("print('here'); kemu.point('mine:here')", "--json", "-")
    assert json.loads(done.stdout)["race"] == "mine"
    assert "here" in done.stderr


def test_one_trace_of_many():
    """A file holds one."""
    done = kemu_command("race", "--all", "--trace", "all.txt")
    assert (done.returncode, "--trace takes the trace of one race" in done.stderr) == (64, True), done


def keyword_only(one, *, two):
    return one, two


def same_shape(one, *, two):
    return two, one


def test_override_of_more_than_plain_parameters():
    """It could not be called as the other is."""
    with pytest.raises(kemu.UsageError, match="plain parameters only"):
        Race("mine", cpus=1).before(keyword_only)(same_shape)


def race_of(step):
    race = Race("mine", cpus=1)
    race.actor(cpu=0)(step)
    return race


def test_hash_of_the_code():
    """Of two steps that call different things, or hold different constants, and of one twice."""
    def actor(t):
        return [n for n in t.first() if n in {1, 2}], lambda: t.third() + 1

    def same_but_for_a_name(t):
        return [n for n in t.second() if n in {1, 2}], lambda: t.third() + 1

    def same_but_inside(t):
        return [n for n in t.first() if n in {1, 2}], lambda: t.fourth() + 1

    hashes = [race_of(step).code_hash() for step in (actor, same_but_for_a_name, same_but_inside)]
    assert len(set(hashes)) == 3
    assert race_of(actor).code_hash() == hashes[0]


@pytest.mark.parametrize(("how", "after", "told"), [
    ("jitter", 100, "more trials"), ("jitter", 10_000, ""), ("forced", 100, "")])
def test_sides_that_are_not_told_apart(how, after, told):
    """A bound above what the other side showed proves little, and says so."""
    outcome = Outcome("mine", how, 1, {"before": Side("before", how, 1000, 1000, 5),
                                       "after": Side("after", how, after, after)})
    said = outcome.told_apart(outcome.after)
    assert told in said
    assert bool(said) == bool(told)


def test_invariant_that_returns():
    """Its result would reach no reader."""
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    race.invariant()(lambda t: t is None)
    with pytest.raises(kemu.UsageError, match="returned False: it asserts"):
        run_race(race, Plan("free", trials=3), ("after",))
