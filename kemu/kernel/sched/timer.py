"""Time: the tick, and sleeping for a while.

Linux: kernel/time/timer.c (schedule_timeout), kernel/sched/core.c (scheduler_tick).
Not modelled: the wheel; the timers of a CPU are a list, because there are few.

A CPU has one event pending in hardware, cpu.next_event: the earliest of its timers and its
tick.  The tick runs only where two fair tasks share the CPU: schedule() starts and stops it
(timer.c).

    task.timer_*    timer_lock of the CPU that timer_cpu names
    cpu.tick_at     that CPU, interrupts off

Locks: timer_lock; pi_lock nests inside.  A timer wakes its task under timer_lock, so a
timer that has been removed wakes no task.
Callers: completion, wait, irq, hotplug, v2_6, watchdog; users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import runqueues, this_rq
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import TASK_UNINTERRUPTIBLE
from kemu.memory.views import Cpu, Task
from kemu.native import current, now_ns

MAX_SCHEDULE_TIMEOUT = native.NEVER


def _add_timer(me: Task, expires: int) -> None:
    flags = native.local_irq_save()
    rq = this_rq()
    rq.timer_lock.lock()
    me.timer_expires.store(expires)
    me.timer_cpu.store(rq.cpu)
    rq.timers.add_tail(me.timer_node)
    native.program_event()
    rq.timer_lock.unlock()
    native.local_irq_restore(flags)


def _lock_timer(me: Task) -> tuple[Cpu, int]:
    """Lock the list that the task's timer is on.  The timer may change its list meanwhile."""
    while True:
        rq = runqueues[me.timer_cpu.load()]
        flags = rq.timer_lock.lock_irqsave()
        if me.timer_cpu.load() == rq.cpu:
            return rq, flags
        rq.timer_lock.unlock_irqrestore(flags)


def _del_timer(me: Task) -> None:
    rq, flags = _lock_timer(me)
    system.memory.list_del(me.timer_node)
    if rq is this_rq():
        native.program_event()  # another CPU may get an event for which nothing is due
    rq.timer_lock.unlock_irqrestore(flags)


def timers_dead_cpu(cpu: int) -> int:
    """Take over the timers of a dead CPU (Linux: timers_dead_cpu).  Returns 0."""
    dead = runqueues[cpu]
    flags = native.local_irq_save()
    rq = this_rq()
    dead.timer_lock.lock()
    rq.timer_lock.lock()
    for node in dead.timers.nodes():
        system.memory.list_del(node)
        system.tasks.owning(node).timer_cpu.store(rq.cpu)
        rq.timers.add_tail(node)
    dead.tick_at.store(0)
    dead.next_event.store(native.NEVER)
    native.program_event()
    rq.timer_lock.unlock()
    dead.timer_lock.unlock()
    native.local_irq_restore(flags)
    return 0


def run_timers(now: int, wake_up: Callable[[Task], object]) -> None:
    """Wake the tasks whose timers have expired.  In the timer interrupt, interrupts off."""
    rq = this_rq()
    rq.timer_lock.lock()
    for node in rq.timers.nodes():
        p = system.tasks.owning(node)
        if p.timer_expires.load() <= now:
            system.memory.list_del(node)
            wake_up(p)
    if 0 < rq.tick_at.load() <= now:
        rq.tick_at.store(now + system.header.tick_ns.load())
    native.program_event()
    rq.timer_lock.unlock()


@contextmanager
def timeout(jiffies: int) -> Iterator[int]:
    """A timer wakes the current task when that many ticks have passed, if it is still in the block.

    Yields the deadline, a time of now_ns().  MAX_SCHEDULE_TIMEOUT: no deadline and no timer.
    """
    if jiffies == MAX_SCHEDULE_TIMEOUT:
        yield native.NEVER
        return
    deadline: int = now_ns() + jiffies * system.header.tick_ns.load()
    me = current()
    _add_timer(me, deadline)
    yield deadline
    _del_timer(me)


def ticks_left(deadline: int) -> int:
    """The ticks from now to the deadline, rounded up; 0 if the deadline has passed."""
    if deadline == native.NEVER:
        return MAX_SCHEDULE_TIMEOUT
    tick: int = system.header.tick_ns.load()
    return max(0, -(-(deadline - now_ns()) // tick))


def schedule_timeout(jiffies: int) -> int:
    """Sleep in the state that was set, for at most that many ticks.  May sleep.

    Returns the ticks that are left, 0 if the time is over.  MAX_SCHEDULE_TIMEOUT: no limit.
    """
    with timeout(jiffies) as deadline:
        schedule()
    return ticks_left(deadline)


def schedule_timeout_uninterruptible(jiffies: int) -> int:
    """Set the state, and sleep for at most that many ticks.  May sleep."""
    current().state.xchg(TASK_UNINTERRUPTIBLE)
    return schedule_timeout(jiffies)
