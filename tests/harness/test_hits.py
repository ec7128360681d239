"""What is a hit, what is another failure, and what makes a trial count."""

from __future__ import annotations

import pytest

import kemu
from kemu.errors import UsageError
from kemu.harness import side_run
from kemu.harness.findings import Finding, Kind, is_hit
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict
from kemu.kernel import kthread, sched
from kemu.kernel.panic import BUG
from kemu.kernel.sched.completion import Completion, wait_for_completion

FREE, FORCED = Plan("free", trials=3), Plan("forced", trials=3)


def fixed():
    pass


def replaced():
    BUG("the sky is green")


def asleep():
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    sched.schedule()


def nothing():
    pass


def a_race(before=replaced, **options) -> kemu.Race:
    """One actor that calls fixed(), which each trial shows."""
    race = kemu.Race("one", cpus=2, **options)
    race.witness("called", "the actor has called the function")

    @race.actor(cpu=0)
    def one(t):
        t.witness("called")
        fixed()
        kemu.point("after")

    race.before(fixed)(before)
    return race


def judged(race, side="before", plan=FREE):
    return run_race(race, plan, (side,)).sides[side]


@pytest.mark.parametrize(("expects", "verdict"), [
    ("sky is green", Verdict.HIT), ("", Verdict.UNKNOWN), ("sky is blue", Verdict.UNKNOWN),
    ("one", Verdict.UNKNOWN)])      # the task's name is in the report, and not in the text
def test_a_panic_is_the_hit_if_its_text_says_so(expects, verdict):
    """expects= is looked for in the text of the panic, not in its report."""
    side = judged(a_race(expects=expects))
    assert side.verdict is verdict, side.doubts
    assert bool(side.doubts) == (verdict is Verdict.UNKNOWN)


def test_an_actor_that_sleeps_is_the_hit_if_it_is_named():
    """Otherwise the side has failed in another way than the race says."""
    race = a_race(asleep)
    assert judged(race).verdict is Verdict.UNKNOWN
    race.asleep("one")
    assert judged(race).verdict is Verdict.HIT


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_broken_promise(side):
    """A postcondition fails the side that is to be clean, and is never the hit of the other."""
    race = a_race(nothing)

    @race.postcondition
    def promised(t):
        raise AssertionError("the operation did nothing")

    found = judged(race, side)
    assert found.verdict is (Verdict.UNKNOWN if side == "before" else Verdict.BROKEN)


def test_an_audit_is_a_failure():
    """The referee audits the machine: a CPU that counts one task too many is found."""
    race = a_race(nothing, audit_every=1)

    @race.conclude
    def miscount(t):
        from kemu.kernel.sched.runqueue import runqueues
        runqueues[1].nr_running.add(1)

    after = judged(race, "after")
    assert (after.verdict, after.audits) == (Verdict.BROKEN, 3)     # one machine for each
    assert "S3" in after.failure


def test_one_place_decides():
    """The kinds of finding, on a race that names none of them."""
    race = kemu.Race("none", cpus=1)
    assert [kind for kind in Kind if is_hit(race, "before", Finding(kind, "text", ("one",)))] == [
        Kind.INVARIANT]


def test_an_exception_of_an_override_ends_the_run_at_its_first_trial():
    """It is a mistake of the file, on either side, and names the line."""
    def misspelt():
        sched.shedule()

    race, trials = a_race(misspelt, expects="Oops"), []
    with pytest.raises(kemu.UsageError, match=r"(?s)shedule.*test_hits.py"):
        run_race(race, Plan("free", trials=100), progress=lambda side: trials.append(side.trials))
    assert max(trials, default=0) <= 1


def test_a_hold_that_is_skipped_does_not_count():
    """The awaited point was passed before: the trials do not count, and the reason is given."""
    race = a_race(nothing)

    @race.prepare
    def early(t):
        pass

    @race.actor(cpu=1)
    def two(t):
        kemu.point("two")

    race.force(hold="one", at="after", until=("two", "two"))
    race.force(hold="one", at="start", until=("two", "done"))
    after = judged(race, "after", FORCED)
    assert (after.verdict, after.witnessed) == (Verdict.UNKNOWN, 0)
    assert any("one was not held at 'after': two had already passed 'two' (test_hits.py:" in doubt
               for doubt in after.doubts), after.doubts


@pytest.mark.parametrize(("place", "verdict"), [("after", Verdict.HIT), ("aftre", Verdict.UNKNOWN)])
def test_a_hit_before_the_hold_is_a_hit(place, verdict):
    """The panic comes before the task is at the point that holds it; no task passes a misspelt point."""
    race = a_race(expects="sky is green")
    race.actor(cpu=1)(two)
    race.force(hold="one", at=place, until=("two", "done"))
    assert judged(race, plan=FORCED).verdict is verdict


def two(t):
    pass


@pytest.mark.parametrize(("points", "verdict"), [((), Verdict.HIT), (("stored",), Verdict.UNKNOWN)])
def test_only_a_script_of_operations_needs_no_witness(points, verdict):
    """Such a script follows one failing order, as a search found it.  Any other must show the witness."""
    race = a_race(stores_and_panics, expects="sky is green")
    race.witness("never", "no code sees it")
    race.actor(cpu=1)(two)
    for place in (kemu.before("store", "Seen[0].passes"), *points):
        race.force(hold="one", at=place, until=("two", "done"), early=True)
    assert judged(race, plan=FORCED).verdict is verdict


def stores_and_panics():
    Seen.on(0).passes.store(1)
    kemu.point("stored")
    BUG("the sky is green")


def test_the_nth_pass():
    """A hold waits for the pass that it names: the second here, not the first."""
    race = kemu.Race("passes", cpus=2)
    race.before(fixed)(nothing)
    race.witness("second", "the other actor ran between the second pass and the third")

    @race.actor(cpu=0)
    def one(t):
        fixed()
        for number in (1, 2, 3):
            Seen.on(0).passes.store(number)
            kemu.point("pass")

    @race.actor(cpu=1)
    def two(t):
        if Seen.on(0).passes.load() == 2:
            t.witness("second")

    race.force(hold=one, at="pass", until=(two, "done"), nth=2)
    after = judged(race, "after", FORCED)
    assert (after.verdict, after.seen) == (Verdict.CLEAN, {"second": 3})


class Seen(kemu.PerCPU):
    passes = kemu.Word()


@pytest.mark.parametrize("blame", ["worker", "script"])
def test_a_machine_that_does_not_come_to_rest(monkeypatch, blame):
    """A thread that prepare left running, or a task that polls for a held one: UNKNOWN, and why."""
    monkeypatch.setattr(side_run, "STUCK_SECONDS", 1.0)
    race = a_race(nothing)

    @race.kthread
    def worker(t):
        while not kthread.kthread_should_stop():
            sched.cpu_relax()

    @race.actor(cpu=1)
    def poller(t):
        while blame == "script" and not t.done("one"):
            sched.cpu_relax()

    if blame == "worker":
        race.prepare(lambda t: t.kthread(worker, cpu=1))
        after, words = judged(race, "after"), ["worker, which is not an actor, runs all the time"]
    else:
        race.force(hold="one", at="after", until=("poller", "done"))
        after = judged(race, "after", FORCED)
        words = ["the script holds one at 'after'", "test_hits.py:"]
    assert after.verdict is Verdict.UNKNOWN
    assert all(word in after.doubts[0] for word in words), after.doubts


def test_the_time_of_a_run_is_a_ceiling(monkeypatch):
    """A trial that goes on when the time is up is cut off: UNKNOWN, and never a hit."""
    monkeypatch.setattr(side_run, "OVERTIME_SECONDS", .2)
    race = a_race(nothing)

    @race.actor(cpu=1)
    def endless(t):
        while not t.done(endless):
            sched.cpu_relax()

    for name in ("before", "after"):
        side = judged(race, name, Plan(how="free", seconds=.2))
        assert (side.verdict, side.hits) == (Verdict.UNKNOWN, 0)
        assert "was cut off: give the run more seconds" in side.doubts[0]


def test_named_sides_in_their_order():
    """A race through releases: each side with its own functions and its expected verdict."""
    race = a_race(replaced, expects="sky is green")
    old = race.variant("3.9", expect="hit")
    old.replaces(fixed)(replaced)
    new = race.variant("4.18", expect="clean", origin="Linux 4.18")
    new.replaces(fixed)(nothing)
    outcome = run_race(race, FREE)
    assert [(name, side.verdict.value) for name, side in outcome.sides.items()] == [
        ("before", "HIT"), ("3.9", "HIT"), ("4.18", "CLEAN"), ("after", "CLEAN")]
    assert (outcome.before.side, outcome.after.side, outcome.exit) == ("before", "after", 0)


def test_named_sides_do_not_hide_the_side_after():
    """A race whose fix does not hold in kemu's own kernel: its named sides are as expected, and it is not."""
    race = a_race(nothing, expects="sky is green")
    race.variant("3.9", expect="hit").replaces(fixed)(replaced)
    race.variant("4.18", expect="clean").replaces(fixed)(nothing)
    race.invariant()(lambda t: None)
    race.postcondition(holds_nowhere)
    outcome = run_race(race, FREE, ("3.9", "after"))
    assert race.sides == ("before", "3.9", "4.18", "after")
    assert (outcome.sides["3.9"].verdict, outcome.after.verdict) == (Verdict.HIT, Verdict.BROKEN)


def test_a_side_before_without_functions_is_left_out_beside_named_sides():
    """It would be the side after."""
    race = kemu.Race("one", cpus=2)
    race.variant("3.9").replaces(fixed)(replaced)
    assert race.sides == ("3.9", "after")


def holds_nowhere(t):
    raise AssertionError("the fix is not in this kernel")


def test_after_is_another_fix():
    """A wrong fix: race.copy().after() puts it on the after side, and the race is unchanged."""
    race = a_race(replaced, expects="green")
    wrong = race.copy()
    wrong.after(fixed)(replaced)
    assert judged(wrong, "after").verdict is Verdict.BROKEN
    assert judged(race, "after").verdict is Verdict.CLEAN


def test_a_witness_of_code_without_a_trial():
    """kemu.witness() in a replacement counts as t.witness() does in an actor."""
    def seen():
        kemu.witness("inside")

    race = a_race(seen)
    race.witness("inside", "the replacement ran", sides=("before",))
    race.invariant()(lambda t: None)
    assert judged(race).seen == {"called": 3, "inside": 3}
    assert judged(race, "after").seen == {"called": 3}


def deadlocked():
    wait_for_completion(Letter.on(0).come)      # for ever


class Letter(kemu.PerCPU):
    come = kemu.Embedded(Completion)


def test_the_report_of_each_trial_that_hangs_is_kept(tmp_path):
    """Three hits leave three reports, each with the line in which the actor waits."""
    race = a_race(deadlocked)
    race.asleep("one")
    side = judged(race, plan=Plan("free", trials=3, enough_hits=3, report_dir=tmp_path / "new"))
    reports = [path.read_text() for path in sorted((tmp_path / "new").iterdir())]
    assert len(reports) == side.hits == 3
    for report in reports:
        assert report.startswith("a task that sleeps for ever: every task is blocked, and one sleeps")
        assert "Letter.on(0).come" in report and "wait_for_completion(Letter.on(0).come)" in report


def test_a_failure_that_is_no_hang_keeps_no_report(tmp_path):
    """A panic has its report in the outcome."""
    judged(a_race(expects="sky is green"), plan=Plan("free", trials=1, report_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_kept(tmp_path):
    """The folder is a file: refused, not lost in silence."""
    (tmp_path / "file").touch()
    race = a_race(deadlocked)
    race.asleep("one")
    with pytest.raises(UsageError, match="cannot be kept"):
        judged(race, plan=Plan("free", trials=1, report_dir=tmp_path / "file"))
