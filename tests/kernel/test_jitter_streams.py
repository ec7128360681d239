"""Jitter draws for each task from a stream of its own."""

from __future__ import annotations

import kemu
from kemu import native
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import kthread_run, kthread_stop
from kemu.kernel.own.system import system
from kemu.kernel.sched.wait import wait_task_inactive


def pass_a_point(data: None) -> int:
    kemu.point("here")
    return 0


def two_of_a_name() -> list[int]:
    """How far the streams of two tasks are, of which the second has the slot of the first."""
    header, seen = system.header, []
    header.jitter_max_ns.store(1)
    header.jitter_odds.store(1)
    header.gate.fetch_or(native.GATE_JITTER)
    for _ in range(2):
        task = kthread_run(pass_a_point, None, "same")
        get_task_struct(task)
        wait_task_inactive(task, 0)
        seen.append(task.prng.load())
        kthread_stop(task)
        put_task_struct(task)
    header.gate.fetch_and(~native.GATE_JITTER)
    return seen


def test_tasks_of_one_name_are_delayed_at_different_points(machine):
    """A trial that creates a thread anew would otherwise delay it at the same points each time."""
    first, second = machine(2).run(two_of_a_name)
    assert first and second and first != second
