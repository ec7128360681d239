"""The fixed kernel keeps its promises on every schedule of these with one preemption."""

from __future__ import annotations

import pytest

from kemu.explore.exhaustive import Exhaustive
from kemu.explore.trials import hold_trials
from kemu.kernel import kthread
from tests.explore import kernel_unpark_and_stop, kernel_wake_and_park


@pytest.mark.parametrize("subject", [kernel_unpark_and_stop, kernel_wake_and_park],
                         ids=lambda subject: subject.race.name)
def test_no_schedule_with_one_preemption_breaks_it(subject):
    """The search comes to its end, and each postcondition held."""
    trials = hold_trials(subject.race, "after", Exhaustive(1), schedules=100_000, audit_every=10)
    assert not trials.text, trials.text
    assert trials.strategy.proves().startswith("all ")


def test_a_kernel_that_does_not_park_is_found():
    """The promise of the subject can be broken, and the first schedule shows it."""
    race = kernel_wake_and_park.race.copy()

    @race.after(kthread.kthread_park)
    def kthread_park(k):
        return 0

    trials = hold_trials(race, "after", Exhaustive(1), schedules=10)
    assert "T's state is" in trials.text
