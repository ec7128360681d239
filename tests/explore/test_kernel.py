"""The fixed kernel keeps its promises on every schedule of these with one preemption."""

from __future__ import annotations

import pytest

from kemu.explore.exhaustive import Exhaustive
from kemu.explore.trials import hold_trials
from tests.explore import kernel_unpark_and_stop


@pytest.mark.parametrize("subject", [kernel_unpark_and_stop],
                         ids=lambda subject: subject.race.name)
def test_no_schedule_with_one_preemption_breaks_it(subject):
    """The search comes to its end, and each postcondition held."""
    trials = hold_trials(subject.race, "after", Exhaustive(1), schedules=100_000, audit_every=10)
    assert not trials.text, trials.text
    assert trials.strategy.proves().startswith("all ")
