"""Waiting for a task to be off its CPU, and wait queues.

Linux: kernel/sched/core.c (wait_task_inactive), kernel/sched/wait.c.
Not modelled: bookmarks, autoremove flags; a queue wakes in order of arrival.

Locks: rq.lock and pi_lock (wait.c); a queue's own lock, in which pi_lock nests.
Callers: kthread, smpboot, locking, v2_6; users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kemu import native
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (TASK_NORMAL, TASK_RUNNING, TASK_UNINTERRUPTIBLE,
                                     set_current_state)
from kemu.kernel.sched.timer import schedule_timeout
from kemu.kernel.sched.wakeup import try_to_wake_up
from kemu.memory.struct import ListHead, Lock, Struct
from kemu.memory.views import Task
from kemu.native import current

INACTIVE = 1 << 62      # in the result, so that it is never zero


def wait_task_inactive(p: Task, match_state: int) -> int:
    """Wait until p is off its CPU and off every runqueue.  May sleep.

    Returns its count of voluntary switches, never zero.  If match_state is not
    zero, p must stay in that state: returns 0 as soon as it does not.

    A task that is queued may have to wait long before it runs.  Meanwhile the caller sleeps, one
    tick at a time.  The caller must therefore be able to sleep
    (exhibit unpark-from-idle; 9cd4f1a4e7a8, 4.13).
    """
    while True:
        while p.on_cpu.load_acquire():
            if match_state and p.state.load() != match_state:
                return 0
            system.memory.end_hold_of(p.slot)
            p.on_cpu.relax_while(1)
        seen = native.look_inactive(p.slot, match_state)
        if seen >= 0:
            return seen | INACTIVE
        if -seen & native.LOOK_OTHER_STATE:
            return 0
        if -seen & native.LOOK_RUNNING:
            continue
        system.memory.end_hold_of(p.slot)
        me = current()
        point("inactive:queued")
        me.waits_for.store(p.ref)
        set_current_state(TASK_UNINTERRUPTIBLE)
        schedule_timeout(1)
        me.waits_for.store(0)


class WaitQueue(Struct):
    """A queue of tasks that wait (Linux: wait_queue_head_t)."""

    lock: Final = Lock()
    waiters: Final = ListHead()


@contextmanager
def waiting(queue: WaitQueue, state: int) -> Iterator[Callable[[], None]]:
    """Put the current task in the queue for a block (Linux: prepare_to_wait, finish_wait).

        with waiting(queue, TASK_INTERRUPTIBLE) as again:
            while not condition():
                schedule()
                again()

    The state is set on entry and by again(), each time before the condition is tested.
    """
    me = current()

    def again() -> None:
        flags = queue.lock.lock_irqsave()
        if me.wait_next.load() in (0, me.wait_node):
            queue.waiters.add_tail(me.wait_node)
        set_current_state(state)
        queue.lock.unlock_irqrestore(flags)

    again()
    try:
        yield again
    finally:
        set_current_state(TASK_RUNNING)
        flags = queue.lock.lock_irqsave()
        system.memory.list_del(me.wait_node)
        queue.lock.unlock_irqrestore(flags)


def wait_event(queue: WaitQueue, condition: Callable[[], object],
               state: int = TASK_UNINTERRUPTIBLE) -> None:
    """Sleep until the condition holds.  May sleep."""
    with waiting(queue, state) as again:
        while not condition():
            schedule()
            again()


def wake_up(queue: WaitQueue, nr: int = 1) -> int:
    """Wake the first nr tasks of the queue, 0 for all; returns how many.  Any context."""
    flags = queue.lock.lock_irqsave()
    woken = 0
    for node in queue.waiters.nodes():
        if nr and woken == nr:
            break
        system.memory.list_del(node)
        woken += try_to_wake_up(system.tasks.owning(node), TASK_NORMAL)
    queue.lock.unlock_irqrestore(flags)
    return woken
