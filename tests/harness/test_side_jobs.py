"""One side of a race on several machines side by side."""

from __future__ import annotations

import pytest

from kemu.errors import UsageError
from kemu.harness.race import Race
from kemu.harness.runner import Interrupted, Plan, run_race
from kemu.harness.side_jobs import SideJobs, deal, merge
from kemu.harness.verdict import Side
from kemu.machine import placement
from kemu.races import exhibit

LOST = exhibit("lost-wakeup")
JITTER = Plan(how="jitter", seconds=1, jobs=2)

mistaken = Race("mistaken", cpus=1)


@mistaken.actor(cpu=0)
def wrong(t):
    raise LookupError("a mistake")


@mistaken.invariant()
def holds(t):
    assert True


def test_deal():
    """Each machine has a seed of its own and its share of the trials, and none has no trial."""
    assert [(one.seed, one.trials) for one in deal(Plan(trials=7, seed=3), 3)] == [(3, 3), (4, 2), (5, 2)]
    assert [one.trials for one in deal(Plan(trials=2), 8)] == [1, 1]


def test_merge():
    """Counts add up, and the failure is the first hit's."""
    none = Side("before", "jitter", trials=10, witnessed=4, seconds=3, failure="other", doubts=["a"])
    late = Side("before", "jitter", trials=5, witnessed=3, hits=1, seconds_to_hit=2.0, failure="late")
    soon = Side("before", "jitter", trials=1, witnessed=1, hits=2, seconds_to_hit=1.0, failure="soon",
                doubts=["a", "b"])
    whole = merge([none, late, soon])
    assert (whole.trials, whole.witnessed, whole.hits, whole.machines) == (16, 8, 3, 3)
    assert (whole.failure, whole.seconds, whole.doubts) == ("soon", 3, ["a", "b"])


def test_all_that_the_machines_count_adds_up():
    """Trials, and the witnesses of their totals."""
    jobs = SideJobs(LOST, "after", JITTER, lambda side: None)
    side = jobs.run()
    assert all(run.side.trials for run in jobs.runs)
    assert side.trials == sum(run.side.trials for run in jobs.runs)
    assert sum(side.seen.values()) == sum(sum(run.totals.seen) for run in jobs.runs)


def test_the_hits_of_all_end_the_side():
    """As soon as they have enough together, and no later than the time."""
    side = SideJobs(LOST, "before", Plan(how="jitter", seconds=60, jobs=2), lambda side: None).run()
    assert side.stopped_at_hit
    assert 5 <= side.hits <= 6
    assert side.diagram


def test_a_mistake_of_the_file_is_raised_in_the_callers_thread():
    """And the other machines end."""
    with pytest.raises(UsageError, match="a mistake"):
        SideJobs(mistaken, "after", Plan(how="free", seconds=60, jobs=2), lambda side: None).run()


def test_ctrl_c_ends_all():
    """With what they counted until then."""
    def press(side):
        if side.trials:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as pressed:
        run_race(LOST, Plan(how="jitter", seconds=60, jobs=2), ["after"], press)
    side = pressed.value.outcome.sides["after"]
    assert side.trials
    assert (side.machines, side.doubts) == (2, ["Ctrl-C ended it"])


@pytest.mark.parametrize(("name", "cores", "machines"), [
    ("lost-wakeup", 64, 32), ("lost-wakeup", 2, 1), ("lost-wakeup", 1, 1), ("unpark-wrong-cpu", 5, 2)])
def test_the_usable_cores_are_used_up(monkeypatch, name, cores, machines):
    """As many machines as fit without sharing; 1 at least."""
    monkeypatch.setattr(placement, "usable_cores", lambda: list(range(cores)))
    runs = SideJobs(exhibit(name), "after", Plan(how="jitter"), lambda side: None).runs
    assert len(runs) == machines
    assert {run.layout.cores() for run in runs} == {min(2, cores)}
