"""Soft lockups."""

from __future__ import annotations

import os
import signal
import time

import pytest

from kemu import KernelHang
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.kthread import kthread_create_on_node, kthread_stop
from kemu.kernel.sched import (cond_resched, schedule_timeout_uninterruptible, set_cpus_allowed_ptr,
                               wake_up_process)
from kemu.kernel.sched.completion import complete, completion_on_stack, wait_for_completion
from kemu.kernel.watchdog import Watchdog
from kemu.native import now_ns


def never_calls_kemu() -> None:
    while True:
        pass


def stuck_stopper(arg: int) -> int:
    never_calls_kemu()
    return 0


def test_loop_that_never_calls_kemu(machine):
    """It cannot be preempted: reported with CPU, task, and its Python stack."""
    with pytest.raises(KernelHang, match=r"soft lockup - CPU#1 stuck for \ds! \[never_calls_kem:"
                       ) as panic:
        machine(2, watchdog=1).run(never_calls_kemu, cpu=1)
    assert "in never_calls_kemu" in panic.value.report


def test_stuck_stopper(machine):
    """A work that does not return: the stopper is named."""
    with pytest.raises(KernelHang, match=r"soft lockup - CPU#1 .*\[migration/1:"):
        machine(2, watchdog=1).run(stop_one_cpu, 1, stuck_stopper)


def watched() -> list[bool]:
    return [bool(Watchdog.on(cpu).touched.load()) for cpu in online_cpus()]


def test_every_cpu_is_watched_after_boot(machine):
    """Otherwise a CPU that is stuck at once, before its watchdog has run, would never be reported."""
    for _ in range(5):
        assert machine(3, watchdog=5).run(watched) == [True] * 3


def pause(m, seconds):
    """As a host is paused: no CPU runs, and the clock goes on."""
    for how in (signal.SIGSTOP, signal.SIGCONT):
        for pid in m.pids.values():
            os.kill(pid, how)
        time.sleep(seconds if how == signal.SIGSTOP else 0)


def busy_until(end):
    while now_ns() < end:
        cond_resched()


def test_a_host_that_was_paused_is_no_lockup(machine):
    """The CPU beside was busy, and could not run either."""
    m = machine(2, watchdog=1)
    busy = m.start(busy_until, now_ns() + 4 * 10**9, cpu=1)
    pause(m, 1.5)
    assert busy.result() is None


def test_a_process_that_was_stopped_is_no_lockup(machine):
    """One CPU's process is stopped while it computes; the neighbour, which runs, does not accuse it."""
    m = machine(2, watchdog=1)
    busy = m.start(busy_until, now_ns() + 4 * 10**9, cpu=1)
    os.kill(m.pids[1], signal.SIGSTOP)
    try:
        assert not busy.wait(2.5)
    finally:
        os.kill(m.pids[1], signal.SIGCONT)
    assert busy.result() is None


def busy_thread(data) -> int:
    began, end = data
    complete(began)
    busy_until(end)
    return 0


def run_away_from_home(end: int) -> int:
    """Run a thread on CPU 1 whose OS thread is in the process of CPU 2."""
    with completion_on_stack() as began:
        thread = kthread_create_on_node(busy_thread, (began, end), 0, "away", home=2)
        set_cpus_allowed_ptr(thread, 0b010)
        wake_up_process(thread)
        wait_for_completion(began)
        return kthread_stop(thread)


def test_a_task_whose_process_was_stopped_is_no_lockup(machine):
    """The CPU runs a task that lives in another CPU's process, and that process is stopped."""
    m = machine(3, watchdog=1)
    busy = m.start(run_away_from_home, now_ns() + 4 * 10**9)
    assert not busy.wait(0.5)
    os.kill(m.pids[2], signal.SIGSTOP)
    try:
        assert not busy.wait(2.5)
    finally:
        os.kill(m.pids[2], signal.SIGCONT)
    assert busy.result() == 0


def test_nothing_is_stuck(machine):
    """Sleeping tasks, and CPUs that come and go, are not a lockup; watchdogs park and unpark."""
    m = machine(3, watchdog=1)
    assert [m.run(cpu_down, 2), m.run(schedule_timeout_uninterruptible, 1500), m.run(cpu_up, 2),
            m.run(schedule_timeout_uninterruptible, 1500)] == [0, 0, 0, 0]
