"""A race without witnesses: a trial counts only if two tasks were in their windows together."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

import kemu
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict
from kemu.kernel import sched
from kemu.kernel.panic import BUG

PLANS = [Plan("free", trials=3), Plan("forced", trials=3)]


def fixed() -> None:
    pass


def shipped() -> None:
    BUG("the sky is green")


def a_race(first: bool, second: bool, apart: bool = False) -> kemu.Race:
    """Two actors: whether each opens a window; apart: the second one when the first has ended.

    The script holds the first actor until the second is in its window, or would be.
    """
    race = kemu.Race("windows", cpus=2, expects="sky is green")

    @race.actor(cpu=0)
    def one(t):
        with t.window() if first else nullcontext():
            kemu.point("one:inside")
            fixed()

    @race.actor(cpu=1)
    def two(t):
        while apart and not t.done(one):
            sched.cpu_relax()
        with t.window() if second else nullcontext():
            kemu.point("two:inside")

    race.before(fixed)(shipped)
    race.force(hold=two, at="start", until=(one, "one:inside"))
    if not apart:
        race.force(hold=one, at="one:inside", until=(two, "two:inside"))
    return race


def judged(race: kemu.Race, side: str, plan: Plan):
    return run_race(race, plan, (side,)).sides[side]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.how)
@pytest.mark.parametrize(("first", "second", "said"), [
    (True, False, "only one task opened a window"), (False, True, "only one task opened a window"),
    (False, False, "no task opened a window")])
def test_fewer_than_two_windows_show_nothing(plan, first, second, said):
    """The side is UNKNOWN, also if each hold did its part, and it says what to add."""
    side = judged(a_race(first, second), "after", plan)
    assert (side.verdict, side.witnessed) == (Verdict.UNKNOWN, 0)
    assert side.doubts[0].startswith(f"{said}, and the race declares no witness")
    assert "t.window()" in side.doubts[0] and "race.witness(" in side.doubts[0]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.how)
def test_two_windows_that_never_met_show_nothing(plan):
    """One actor opens its window when the other has ended."""
    side = judged(a_race(True, True, apart=True), "after", plan)
    assert (side.verdict, side.doubts) == (Verdict.UNKNOWN, ["the sides never met in the window"])


def test_two_windows_that_met_are_enough():
    """As in the race of the README."""
    assert judged(a_race(True, True), "after", PLANS[1]).verdict is Verdict.CLEAN


def test_a_hit_counts_with_one_window():
    """A failure that the race names was seen, so the before side needs no second window."""
    assert judged(a_race(True, False), "before", PLANS[1]).verdict is Verdict.HIT


def test_a_witness_stands_for_the_windows():
    """A race that declares a witness needs no window."""
    race = a_race(False, False)
    race.witness("seen", "the actor has begun")
    race.actor(cpu=0)(shows)
    assert judged(race, "after", PLANS[1]).verdict is Verdict.CLEAN


def shows(t) -> None:
    t.witness("seen")
