"""What the C mechanisms do to words that another CPU reads without their lock is a step."""

from __future__ import annotations

import pytest

from kemu.explore.plan import Plan
from kemu.explore.strategy import Replay
from kemu.explore.trials import hold_trials
from kemu.races import exhibit


@pytest.fixture(scope="module")
def lines():
    """The steps of a trial in which one task sleeps and another wakes it."""
    return hold_trials(exhibit("lost-wakeup"), "after", Replay(Plan(bytes([1] * 40)))).record.lines


@pytest.mark.parametrize("step", [
    "cpu1 sleeper: store sleeper.on_rq (1) 0", "cpu1 sleeper: store cpu1.curr",
    "cpu1 sleeper: store swapper/1.on_cpu (0) 1", "cpu1 swapper/1: store sleeper.on_cpu (1) 0",
    "cpu0 waker: load sleeper.state (1)", "cpu0 waker: load sleeper.on_rq (0)",
    "cpu0 waker: wait sleeper.on_cpu (0)", "cpu0 waker: store sleeper.state (1) 256",
    "cpu0 waker: store sleeper.on_rq (0) 1", "cpu0 waker: store sleeper.state (256) 0"])
def test_a_sleep_and_a_wake_up_take_these_steps(lines, step):
    """Each is in the record, so a schedule can put another CPU before it."""
    assert any(line.startswith(step) for line in lines), "\n".join(lines)
