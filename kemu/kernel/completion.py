"""Completions: a count of events, and a queue of tasks that wait for one each.

Linux: kernel/sched/completion.c.  Not modelled: killable waits.

A completion counts: complete() before wait_for_completion() is remembered, and
each wait takes one.  complete_all() lets everybody through from then on.

Locks: the completion's, interrupts off; pi_lock nests inside.  The waiter needs
the lock to return, so complete() may be its waker's last touch of the memory.
Callers: kthread, cpu, stop_machine; users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kemu.kernel.sched.runqueue import machine
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (TASK_NORMAL, TASK_UNINTERRUPTIBLE, __set_current_state)
from kemu.kernel.sched.timer import schedule_timeout
from kemu.kernel.sched.wakeup import try_to_wake_up
from kemu.memory.struct import ListHead, Lock, Struct, Word
from kemu.memory.views import Task
from kemu.native import current

FOREVER = 1 << 40       # what complete_all() counts to


class Completion(Struct):
    """struct completion."""

    lock = Lock()
    done = Word()
    waiters = ListHead()


@contextmanager
def completion_on_stack() -> Iterator[Completion]:
    """A completion for the length of a block (Linux: DECLARE_COMPLETION_ONSTACK)."""
    done = Completion.alloc()
    try:
        yield done
    finally:
        done.free()


def init_completion(x: Completion) -> None:
    """No event has happened.  Nobody may be waiting."""
    x.done.store(0)


reinit_completion = init_completion


def _wake_first(x: Completion) -> None:
    node = x.waiters.first()
    if node:
        machine.memory.list_del(node)
        try_to_wake_up(machine.tasks.owning(node), TASK_NORMAL)


def complete(x: Completion) -> None:
    """One event: let one waiter through.  Any context; does not sleep."""
    flags = x.lock.lock_irqsave()
    x.done.inc()
    _wake_first(x)
    x.lock.unlock_irqrestore(flags)


def complete_all(x: Completion) -> None:
    """Let all waiters through, now and later.  Any context; does not sleep."""
    flags = x.lock.lock_irqsave()
    x.done.store(FOREVER)
    while x.waiters.first():
        _wake_first(x)
    x.lock.unlock_irqrestore(flags)


def _wait(x: Completion, me: Task) -> None:
    """Sleep until there is an event.  Caller holds x.lock, interrupts off.  May sleep."""
    me.blocked_on.store(x.base)
    while not x.done.load():
        if me.wait_next.load() in (0, me.wait_node):
            x.waiters.add_tail(me.wait_node)
        __set_current_state(TASK_UNINTERRUPTIBLE)
        x.lock.unlock_irq()
        schedule()
        x.lock.lock_irq()
    machine.memory.list_del(me.wait_node)
    me.blocked_on.store(0)


def wait_for_completion(x: Completion) -> None:
    """Wait for an event and take it.  May sleep."""
    x.lock.lock_irq()
    if not x.done.load():
        _wait(x, current())
    if x.done.load() < FOREVER:
        x.done.dec()
    x.lock.unlock_irq()


def wait_for_completion_timeout(x: Completion, jiffies: int) -> int:
    """Wait for at most that many ticks.  May sleep.  Returns 0 if none came, else ticks left, at least 1."""
    me = current()
    left = jiffies
    x.lock.lock_irq()
    while not x.done.load() and left:
        if me.wait_next.load() in (0, me.wait_node):
            x.waiters.add_tail(me.wait_node)
        __set_current_state(TASK_UNINTERRUPTIBLE)
        x.lock.unlock_irq()
        left = schedule_timeout(left)
        x.lock.lock_irq()
    machine.memory.list_del(me.wait_node)
    came = x.done.load()
    if came and came < FOREVER:
        x.done.store(came - 1)
    x.lock.unlock_irq()
    return max(left, 1) if came else 0


def try_wait_for_completion(x: Completion) -> bool:
    """Take an event if there is one.  Any context; does not sleep."""
    flags = x.lock.lock_irqsave()
    done = x.done.load()
    if 0 < done < FOREVER:
        x.done.store(done - 1)
    x.lock.unlock_irqrestore(flags)
    return bool(done)


def completion_done(x: Completion) -> bool:
    """Whether an event is there to be taken."""
    return bool(x.done.load())
