"""A wake-up never waits for its own task: swapper has on_rq 1, and any other task is a BUG."""

from __future__ import annotations

import re

import pytest

from kemu.errors import KernelBug
from kemu.kernel import sched
from kemu.kernel.hotplug import cpu
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.sched.completion import wait_for_completion
from kemu.kernel.sched.runqueue import idle_tasks
from kemu.machine.override import make_override
from tests.kernel.threads import Board, Shared, spin

PATIENCE = 30       # seconds; only a hang takes so long


def wake_interrupted(cpu: int) -> None:
    """In an interrupt on an idle CPU: wake the task that the interrupt found there."""
    idle = sched.current()
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    woken = sched.wake_up_process(idle)
    Board.on(cpu).digits.store(100 * (idle is idle_tasks[cpu]) + 10 * woken + (not idle.state.load()))


def interrupt_idle(cpu: int) -> int:
    smp_call_function_single(cpu, wake_interrupted, cpu, True)
    digits: int = Board.on(cpu).digits.load()
    return digits


def test_interrupt_wakes_the_idle_task_it_interrupts(machine):
    """The wake-up stores TASK_RUNNING and returns: swapper has not left its runqueue."""
    assert machine(2).run(interrupt_idle, 1, timeout=PATIENCE) == 111


def sleep_while_idle(cpu: int) -> None:
    """Replaces cpuhp_online_idle(): the timer's interrupt comes before schedule()."""
    sched.set_current_state(sched.TASK_UNINTERRUPTIBLE)
    sched.schedule_timeout(0)


def down_and_up(number: int) -> None:
    cpu.cpu_down(number)
    cpu.cpu_up(number)


def test_idle_task_that_is_woken_before_it_sleeps(machine):
    """schedule() then reports what Linux reports, and the machine does not hang."""
    m = machine(2, overrides=[make_override(cpu.cpuhp_online_idle, sleep_while_idle)])
    with pytest.raises(KernelBug, match="scheduling while atomic: swapper/1/0/0x00000002"):
        m.run(down_and_up, 1, timeout=PATIENCE)


def make_idle_fifo() -> None:
    sched.sched_setscheduler(idle_tasks[1], sched.SCHED_FIFO, 1)


def test_idle_task_leaves_no_queue(machine):
    """A policy would take swapper out of its queue, in which it is not: Linux's words for it."""
    with pytest.raises(KernelBug, match="bad: scheduling from the idle thread!"):
        machine(2).run(make_idle_fifo, timeout=PATIENCE)


def clear_on_rq() -> list[str]:
    """What the audit finds when an idle task is off its runqueue."""
    on_rq = idle_tasks[1].on_rq
    on_rq.store(0)
    found = sched.audit()
    on_rq.store(1)
    return found


def test_audit_finds_an_idle_task_off_its_runqueue(machine):
    """S11 covers on_rq."""
    assert [text[:4] for text in machine(2).run(clear_on_rq)] == ["S11:"]


def test_report_does_not_call_an_idle_task_queued(machine):
    """No queue links swapper while another task runs on its CPU."""
    m = machine(2)
    shared = m.run(Shared.alloc)
    spins = m.start(spin, shared, cpu=1)
    m.run(wait_for_completion, shared.ran)
    report = m.report()
    with m.looking():
        shared.gate.store(1)
    assert spins.result() == 7
    assert re.search(r"(?m)^spin .* running ", report)
    assert re.search(r"(?m)^swapper/1 ", report) and not re.search(r"(?m)^swapper/1 .* queued ", report)


def wake_itself() -> None:
    sched.current().on_rq.store(0)
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    sched.wake_up_process(sched.current())


def test_wake_up_that_would_wait_for_itself(machine):
    """A task that wakes itself while it is off its runqueue is a BUG with its name."""
    with pytest.raises(KernelBug, match=r"wake_itself .*wakes itself on cpu0 while it is off its runqueue"):
        machine(2).run(wake_itself, timeout=PATIENCE)
