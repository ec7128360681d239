"""A search audits the machine now and then, and says which schedule broke it."""

from __future__ import annotations

from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import parse
from kemu.explore.strategy import Random
from kemu.explore.trials import hold_trials
from kemu.races import exhibit
from tests.explore import breaks_the_machine


def test_the_machine_is_audited_after_every_tenth_schedule_and_at_the_end():
    """Of 25 schedules, after the 10th, the 20th and the last."""
    trials = hold_trials(exhibit("lost-wakeup"), "after", Random(1), schedules=25, audit_every=10)
    assert (trials.schedules, trials.audits, len(trials.unaudited)) == (25, 3, 5)


def test_a_failed_audit_names_the_schedule_that_broke_the_machine():
    """The audit comes after several schedules; the one that is kept fails when it runs alone."""
    race = breaks_the_machine.race
    side = explore_race(race, Search("exhaustive", preemptions=1), ["before"]).before
    assert "S3" in side.failure and side.audits < side.trials
    assert replay(race, parse(side.schedule)).same


def test_the_search_of_the_whole_side_is_audited_at_its_end():
    """After the fix no schedule breaks the machine, and the last audit has said so."""
    side = explore_race(breaks_the_machine.race, Search("exhaustive", preemptions=1), ["after"]).after
    assert not side.failure and 0 < side.audits < side.trials
