"""The rules of a plan: CPUs that would starve others, and stores and loads out of order."""

from __future__ import annotations

from kemu.explore.plan import Plan
from kemu.explore.strategy import Pct, Replay
from kemu.explore.trials import hold_trials
from kemu.races import exhibit


def test_cpus_that_poll_do_not_starve_the_one_that_they_wait_for():
    """They poll by turns with a high priority, and the trial ends all the same."""
    trials = hold_trials(exhibit("exec-dest-dies"), "after", Pct(1, 3, 3), schedules=2)
    assert (trials.schedules, trials.text) == (2, "")
    assert trials.strategy.longest > trials.strategy.choices == 1_500


def test_a_schedule_without_preemptions_ends_too():
    """A CPU polls with no wait that the chooser knows, and the other one has its turn in the end."""
    race = exhibit("exec-deadlocks-flush")
    before, after = (hold_trials(race, side, Replay(Plan())) for side in ("before", "after"))
    assert race.side("before").expects in before.text and after.text == ""


def test_a_missing_write_barrier_is_found():
    """Under weak the later of two stores of a CPU may come first, with any priorities."""
    trials = hold_trials(exhibit("message-without-wmb"), "before", Pct(1, 2, 3, "weak"), schedules=500,
                         audit_every=10, memory="weak")
    assert "the receiver read 0, and not 7" in trials.text
