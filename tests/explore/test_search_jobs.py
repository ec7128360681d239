"""A search that several machines share."""

from __future__ import annotations

import pytest

from kemu.explore.jobs import Limits, SearchJobs
from kemu.explore.run import Search, explore_race
from kemu.explore.strategy import Pct, Random
from kemu.harness.runner import Interrupted
from kemu.harness.verdict import Side
from kemu.races import exhibit

LOST = exhibit("lost-wakeup")
MANY = 1_000


def searched(side, strategy, jobs, schedules=MANY):
    """The search of a side, and what came of it; a hit is not shortened."""
    jobs = SearchJobs(LOST, Side(side, "pct"), strategy, Limits(jobs, schedules, 60.0, 10, "sc"),
                      lambda side: None)
    return jobs, jobs.run()


@pytest.mark.parametrize("strategy", [lambda: Random(2), lambda: Pct(3, 2, 3)], ids=["random", "pct"])
def test_the_first_hit_is_the_same_for_each_number_of_machines(strategy):
    """One machine, two and three find the same schedule, step for step, and give it the same number."""
    found = [searched("before", strategy(), jobs)[1] for jobs in (1, 2, 3)]
    assert found[0].number == found[0].schedules > 8
    assert {(trials.number, trials.text, trials.record.choices) for trials in found} == {
        (found[0].number, found[0].text, found[0].record.choices)}


def test_each_schedule_is_held_once():
    """With any number of machines it is as many trials, and the search proves the same."""
    found = [searched("after", Pct(1, 2, 3), jobs, 30) for jobs in (1, 2, 3)]
    assert {(trials.schedules, trials.strategy.proves(), jobs.side.trials) for jobs, trials in found} == {
        (30, found[0][1].strategy.proves(), 30)}
    assert [jobs.side.machines for jobs, _ in found] == [1, 2, 3]


def test_the_parts_of_a_search_are_all_of_it():
    """The parts have the plans of the whole, each in its place, also after some were held."""
    whole, shared = Random(1), Random(1)
    shared.next()
    plans = [whole.next() for _ in range(10)][1:]
    parts = [shared.part(job, 3) for job in range(3)]
    assert [part.next() for _ in range(3) for part in parts] == plans
    fresh = [shared.part(job, 3) for job in range(3)]
    assert [(part.number_of(1), part.trials_up_to(7)) for part in fresh] == [(2, 2), (3, 2), (4, 2)]


def test_a_schedule_of_pct_does_not_depend_on_what_was_held_lately():
    """After the first ones, a longer trial changes no plan that comes later."""
    pct, other = Pct(1, 2, 3), Pct(1, 2, 3)
    for one, choices in ((pct, 30), (other, 9_000)):
        for number in range(9):
            one.learn(one.next(), 30 if number < 8 else choices, [])
    assert pct.next() == other.next()
    assert "the longest schedule had 9,000" in other.proves() and "longest" not in pct.proves()


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_shows_what_the_machines_have_counted(jobs):
    """The trials until then are in the outcome."""
    def press(side):
        if side.trials:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as pressed:
        explore_race(LOST, Search("random", seconds=60, jobs=jobs), ["after"], press)
    side = pressed.value.outcome.after
    assert side.trials and side.doubts == ["Ctrl-C ended it"]

