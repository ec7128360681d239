"""A race from outside the package, and what is said of one that is wrong."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import kemu
from kemu.kernel import kthread, sched
from kemu.harness import side_run
from kemu.harness.runner import Plan, run_race
from tests.docs.pages import blocks
from tests.races import reactor

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"


def kemu_command(*arguments: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kemu", *arguments], cwd=cwd, text=True,
                          capture_output=True, timeout=100, check=False)


def test_is_the_readmes():
    """The race that is run here is the one that the README shows."""
    shown, = (block for block in blocks(README) if block.value("file") == "reactor.py")
    assert reactor.__file__ and shown.text in Path(reactor.__file__).read_text()


def test_under_pytest(kemu_race):
    """As the README's own test does it."""
    outcome = kemu_race(reactor.race, how="jitter", seconds=5)
    assert outcome.before.hits
    assert outcome.after.clean


def test_by_the_command_line():
    """kemu race FILE, from another folder, with JSON that says what was run on what."""
    done = kemu_command("race", "reactor.py", "--trials", "3", "--json", "-")
    said = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (said["schema"], said["race"], said["sides"]["before"]["hits"]) == (
        2, "reactor-lost-wakeup", 3)
    assert {"kemu", "code", "python", "kernel", "cpu_model", "placement"} <= set(said)


def fixed(r: object) -> None:
    pass


def small_race(**options: object) -> kemu.Race:
    """A race that nothing happens in."""
    race = kemu.Race("small", cpus=2, **options)    # type: ignore[arg-type]

    @race.actor(cpu=0)
    def one(t):
        with t.window():
            pass

    @race.actor(cpu=1)
    def two(t):
        with t.window():
            pass

    return race


def test_override_with_other_parameters():
    """A mistyped override is refused where it is made."""
    def kthread_park(task):
        return 0

    with pytest.raises(kemu.UsageError, match="takes other parameters"):
        small_race().before(kthread.kthread_park)(kthread_park)


@pytest.mark.parametrize("target", [len, 7, "kthread_park", kthread.KThread])
def test_override_of_what_is_no_function(target):
    """Only Python functions can be replaced."""
    with pytest.raises(kemu.UsageError, match="not a Python function"):
        small_race().before(target)(fixed)


def test_override_never_called():
    """It is said, and the verdict is UNKNOWN."""
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    before = run_race(race, Plan("free", trials=3), ("before",)).before
    assert before.verdict.value == "UNKNOWN"
    assert any("kthread_bind was never called" in doubt for doubt in before.doubts)


def test_point_never_reached():
    """A script whose point no task reaches proves nothing."""
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    race.force(hold="one", at="no:such:point", until=("two", "done"))
    after = run_race(race, Plan("forced", trials=2), ("after",)).after
    assert after.verdict.value == "UNKNOWN"
    assert any("one never reached its point 'no:such:point'" in doubt for doubt in after.doubts)


def test_trial_that_does_not_end(monkeypatch):
    """It is given up, with a report; after the fix that is a failure."""
    monkeypatch.setattr(side_run, "STUCK_SECONDS", 1.0)
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)

    @race.actor(cpu=0)
    def spinner(t):
        while True:
            sched.cpu_relax()

    after = run_race(race, Plan("free", trials=1), ("after",)).after
    assert after.verdict.value == "BROKEN"
    assert after.failure.startswith("a trial did not end in 1 s")


def test_sides_that_never_meet():
    """No window was opened: nothing is proven."""
    race = kemu.Race("apart", cpus=1)
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    race.actor(cpu=0)(fixed)
    after = run_race(race, Plan("free", trials=3), ("after",)).after
    assert after.doubts[0].startswith("no task opened a window, and the race declares no witness")


def test_invariant_never_evaluated():
    """An invariant that no trial came to is said."""
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    race.prepare(lambda t: (_ for _ in ()).throw(kemu.UsageError("prepare is wrong")))
    race.invariant()(fixed)
    with pytest.raises(kemu.UsageError, match="prepare is wrong"):
        run_race(race, Plan("free", trials=3), ("after",))


@pytest.mark.parametrize("wrong", [
    lambda race: race.actor(cpu=2), lambda race: race.force("one", "x", ("two", "done"), kind="odd"),
    lambda race: race.invariant(at="noon"), lambda race: race.force(fixed, "x", ("two", "done"))])
def test_wrong_declarations(wrong):
    """What cannot be is refused at once."""
    with pytest.raises(kemu.UsageError):
        wrong(small_race())


@pytest.mark.parametrize(("arguments", "status", "says"), [
    (["race", "no-such-race"], 64, "unpark-wrong-cpu"), (["race"], 64, "--all"),
    (["race", "unpark-wrong"], 64, "did you mean 'unpark-wrong-cpu'?"),
    (["race", "no_such_file.py"], 64, "no such file"), (["race", "__init__.py"], 64, "no race"),
    (["race", "lost-wakeup", "--trials", "0"], 64, "--trials"),
    (["race", "lost-wakeup", "--seconds", "nan"], 64, "--seconds"),
    (["race", "lost-wakeup", "--seconds", "inf"], 64, "--seconds"),
    (["race", "lost-wakeup", "--seed", "1" + "0" * 30], 64, "seed"),
    (["race", "lost-wakeup", "--trace", "no/such/folder"], 64, "No such file"),
    (["hotplug", "--json", "no/such/folder"], 64, "No such file"),
    (["hotplug", "--cpus", "1"], 64, "--cpus"), (["nonsense"], 64, "No such command"),
    (["races"], 0, "f2530dc71cf0"), (["race", "--help"], 0, "Exit status")])
def test_command_line(arguments, status, says):
    """Each mistake has a status of 64 and a word that helps."""
    done = kemu_command(*arguments)
    assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed):
    """The exit status still tells."""
    command = f"{sys.executable} -m kemu race lost-wakeup --trials 2 {closed}"
    assert subprocess.run(command, shell=True, timeout=100, check=False).returncode == 0


def test_file_that_exits(tmp_path):
    """A file that ends the interpreter when it is loaded cannot be loaded."""
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)")
    done = kemu_command("race", "leaves.py", cwd=tmp_path)
    assert (done.returncode, "SystemExit" in done.stderr) == (64, True), done


@pytest.mark.parametrize("when", ["setup", "prepare", "conclude", "invariant"])
def test_step_that_raises(when):
    """It is the race's own mistake, and says where."""
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    step = getattr(race, when)
    (step() if when == "invariant" else step)(lambda t: {}["nothing"])
    with pytest.raises(kemu.UsageError, match=r"race small: .*KeyError(.|\n)*in the task:"):
        run_race(race, Plan("free", trials=3), ("after",))


@pytest.mark.parametrize("wrong", [
    {"trials": 0}, {"trials": "x"}, {"trials": 1 << 70}, {"seconds": 0}, {"seconds": float("nan")},
    {"seconds": "x"}, {"seed": 1 << 70}, {"seed": None}, {"cpus": 0}, {"cpus": 99}, {"how": "odd"},
    {"grain": "x"}, {"stuck_seconds": 0}, {"grain": "ops", "how": "free"},
    {"points": False, "how": "forced"}])
def test_wrong_plans(wrong):
    """Nothing is run."""
    with pytest.raises(kemu.UsageError, match=next(iter(wrong))):
        Plan(**wrong)


@pytest.mark.parametrize("wrong", [
    {"cpus": 0}, {"cpus": "2"}, {"cpus": 99}, {"placement": [0]}, {"placement": 7},
    {"placement": "01"}, {"placement": [0, None]}])
def test_wrong_races(wrong):
    """Nor is a race made."""
    with pytest.raises(kemu.UsageError, match=next(iter(wrong))):
        kemu.Race("wrong", **{"cpus": 2, **wrong})


def test_override_does_not_touch_the_users_process():
    """A function is only replaced in CPU processes."""
    code = kthread.kthread_park.__code__
    run_race(reactor.race, Plan("forced", trials=1))
    assert kthread.kthread_park.__code__ is code


def test_a_host_that_was_paused_has_no_stuck_trial(monkeypatch):
    """The clock goes on while nothing runs: that is not the trial's fault."""
    clock = itertools.count(0, 1000)
    monkeypatch.setattr(side_run, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    race = small_race()
    race.before(kthread.kthread_bind)(lambda p, cpu: None)
    race.prepare(lambda t: sched.schedule_timeout_uninterruptible(500))
    after = run_race(race, Plan("free", trials=2), ("after",)).after
    assert (after.trials, after.hits) == (2, 0)


class Seen(kemu.PerCPU, keep=True):
    """Of CPU 0."""

    side = kemu.Word()


def which_side():
    Seen.on(0).side.store(1)


def late(data):
    """Comes to the function that is replaced when setup has long returned."""
    sched.schedule_timeout_uninterruptible(3)
    which_side()
    return 0


def test_setup_is_over_before_the_pre_fix_functions_are_in_place():
    """Also what it only started: otherwise a thread would begin its trials in a fixed function."""
    race = small_race()
    race.before(which_side)(lambda: Seen.on(0).side.store(2))
    race.setup(lambda t: kthread.kthread_run(late, None, "late"))

    @race.invariant()
    def ran_fixed(t):
        assert Seen.on(0).side.load() == 1

    before = run_race(race, Plan("free", trials=3), ("before",)).before
    assert (before.trials, before.hits) == (3, 0)
