"""A lock with an owner; a task that waits for it sleeps.

Linux: kernel/locking/mutex.c.  Not modelled: optimistic spinning, hand-off.

    owner   <- the task (Task.ref): by the task that takes the lock (cmpxchg from 0); 0 by
               the owner
    queue   <- the tasks that wait: under the queue's own lock

Locks: the wait queue's.  Callers: smpboot, percpu_rwsem, stop_machine, hotplug, v2_6; users.
"""

from __future__ import annotations

from typing import Final

from kemu.errors import UsageError
from kemu.kernel.own.hung import waiting_on
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.sched.state import TASK_UNINTERRUPTIBLE
from kemu.kernel.sched.wait import WaitQueue, wait_event, wake_up
from kemu.memory.struct import Embedded, Struct, Word
from kemu.memory.views import Task
from kemu.native import current


class Mutex(Struct):
    """struct mutex; a context manager."""

    owner: Final = Word()
    queue: Final = Embedded(WaitQueue)

    def __enter__(self) -> Mutex:
        mutex_lock(self)
        return self

    def __exit__(self, *error: object) -> None:
        mutex_unlock(self)


def mutex_trylock(lock: Mutex) -> bool:
    """Take it if it is free.  Does not sleep; not in interrupts."""
    return not lock.owner.cmpxchg(0, current().ref)


def mutex_lock(lock: Mutex) -> None:
    """Take it.  May sleep.  A task that holds it already is a BUG."""
    if mutex_trylock(lock):
        return
    me = current()
    if lock.owner.load() == me.ref:
        BUG(f"{me} locks a mutex it holds")
    with waiting_on(lock.owner, "mutex_lock"):
        wait_event(lock.queue, lambda: mutex_trylock(lock), TASK_UNINTERRUPTIBLE)


def mutex_unlock(lock: Mutex) -> None:
    """Free it.  Does not sleep.  Raises UsageError if the caller does not hold it."""
    if lock.owner.load() != current().ref:
        raise UsageError("mutex_unlock: the current task does not hold it")
    lock.owner.xchg(0)      # full barrier: freed before the queue is looked at
    wake_up(lock.queue)


def mutex_is_locked(lock: Mutex) -> bool:
    return bool(lock.owner.load())


def mutex_owner(lock: Mutex) -> Task | None:
    """The task that holds it, or None."""
    return system.tasks.get(lock.owner.load())
