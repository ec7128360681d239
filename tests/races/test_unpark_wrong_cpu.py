"""The stray wake-up of unpark-wrong-cpu comes while unpark is under way, and not long after it."""

from __future__ import annotations

import pytest

from kemu.explore.strategy import Random
from kemu.explore.trials import hold_trials
from kemu.races import exhibit


@pytest.mark.parametrize("seed", range(1, 6))
def test_unpark_begins_when_the_waker_is_awake(seed):
    """In any order of steps the waker has found T before unpark does anything, and it never polls."""
    steps = hold_trials(exhibit("unpark-wrong-cpu"), "after", Random(seed), schedules=1).record.lines
    (ready,), (cleared,) = ([number for number, step in enumerate(steps) if said in step] for said in (
        "waker: store Subject[2].ready", "unparker: point unpark:cleared"))
    assert ready < cleared
    assert not [step for step in steps if "waker: relax" in step]
