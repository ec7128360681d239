"""khungtaskd reports a task that stays in TASK_UNINTERRUPTIBLE while the machine runs, and no other."""

from __future__ import annotations

import os
import signal

import pytest

import kemu
from kemu import KernelHang, PerCPU, UsageError, native
from kemu.kernel.own.point import point
from kemu.kernel.sched import (TASK_INTERRUPTIBLE, current, schedule_timeout,
                               schedule_timeout_uninterruptible, set_current_state)
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.memory.points import Hold, Place, point_symbol
from kemu.memory.struct import Embedded
from kemu.memory.views import Header

WATCHED = {"watchdog": 0.5, "hung_task": 1}
LONGER = 2500           # ticks, of a millisecond each: longer than the limit


class Letter(PerCPU):
    """Of CPU 0."""

    come = Embedded(Completion)


def read() -> None:
    wait_for_completion(Letter.on(0).come)


def write_after(ticks: int) -> None:
    set_current_state(TASK_INTERRUPTIBLE)
    schedule_timeout(ticks)
    point("written")
    complete(Letter.on(0).come)


def test_is_reported_in_the_kernels_words(machine):
    """The task waits for what never comes; the report has its wait, with the line of the user's code."""
    with pytest.raises(KernelHang, match=r"INFO: task read:\d+ blocked for more than 1 seconds\.") as hang:
        machine(2, **WATCHED).run(read)
    assert "Letter.on(0).come" in hang.value.report
    assert ", in read" in hang.value.report


def sleep_interruptibly() -> int:
    set_current_state(TASK_INTERRUPTIBLE)
    return schedule_timeout(LONGER)


def sleep_often() -> int:
    for _ in range(LONGER // 50):
        schedule_timeout_uninterruptible(50)
    return current().nvcsw.load()


def test_other_sleeps_are_not_reported(machine):
    """Neither an interruptible sleep, nor many short ones."""
    m = machine(2, **WATCHED)
    long = m.start(sleep_interruptibly, cpu=1)
    assert m.run(sleep_often) >= LONGER // 50
    assert long.result() == 0


def test_time_of_a_stopped_process_does_not_count(machine):
    """The writer's process is stopped for longer than the limit; the reader is not accused."""
    m = machine(2, **WATCHED)
    reader = m.start(read)
    m.start(write_after, 100, cpu=1)
    os.kill(m.pids[1], signal.SIGSTOP)
    try:
        assert not reader.wait(2.5)
    finally:
        os.kill(m.pids[1], signal.SIGCONT)
    assert reader.result() is None


def held() -> None:
    point("hold me")
    complete(Letter.on(0).come)


def at(m, who: str, name: str) -> Place:
    return Place(who, native.OP_POINT, point_symbol(m.memory, name))


def test_held_time_does_not_count(machine):
    """The writer is held at a point for longer than the limit; the reader is not accused."""
    m = machine(3, **WATCHED)
    Hold(m.memory, 0).arm(native.HOLD_PREEMPTIBLE, at(m, "held", "hold me"), at(m, "write_after", "written"),
                          "begin")
    Header(m.memory).gate.fetch_or(native.GATE_HOLD)
    reader, writer = m.start(read), m.start(held, cpu=1)
    m.run(write_after, LONGER, cpu=2)
    assert (reader.result(), writer.result()) == (None, None)


def test_needs_the_watchdog():
    """Without watchdogs no CPU is known to run: refused, and nothing is started."""
    with pytest.raises(UsageError, match=r"hung_task=1 was given with watchdog=2"):
        kemu.Machine(hung_task=1, watchdog=2)
