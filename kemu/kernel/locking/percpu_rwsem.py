"""The lock behind cpus_read_lock(): cheap for its many readers, expensive for the writer.

Linux: kernel/locking/percpu-rwsem.c.  Not modelled: the per-CPU counters and their RCU
switch; here the readers' count is one word.

    readers     <- +1 by a reader, which then looks for a writer (full barriers)
    reader      <- the reader (Task.ref) that came last; 0 when that reader has left, although
                   others may be inside.  The writer is said to wait for this task
    writer      <- the writer (Task.ref): by itself, before it looks for readers (full barriers)

A reader and a writer that come at the same time therefore see each other, and the reader
steps back.

Locks: a mutex between writers; the wait queue's own.  Callers: hotplug.
"""

from __future__ import annotations

from typing import Final

from kemu.errors import UsageError
from kemu.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from kemu.kernel.own.hung import waiting_on
from kemu.kernel.sched.wait import WaitQueue, wait_event, wake_up
from kemu.memory.struct import Embedded, Struct, Word
from kemu.native import current


class PercpuRwsem(Struct):
    """struct percpu_rw_semaphore."""

    readers: Final = Word()
    reader: Final = Word()
    writer: Final = Word()
    writers: Final = Embedded(Mutex)
    queue: Final = Embedded(WaitQueue)


def _try_read(sem: PercpuRwsem) -> bool:
    sem.readers.add(1)
    if not sem.writer.load():
        return True
    sem.readers.add(-1)
    wake_up(sem.queue, 0)       # the writer may have seen our count
    return False


def percpu_down_read(sem: PercpuRwsem) -> None:
    """Take it for reading.  May sleep."""
    me = current().ref
    if _try_read(sem):
        sem.reader.store(me)
        return
    with waiting_on(sem.writer, "percpu_down_read"):
        wait_event(sem.queue, lambda: not sem.writer.load() and _try_read(sem))
    sem.reader.store(me)


def percpu_up_read(sem: PercpuRwsem) -> None:
    """Pairs with percpu_down_read().  Does not sleep."""
    sem.reader.cmpxchg(current().ref, 0)       # first: the writer must not wait for one that left
    if not sem.readers.add(-1) and sem.writer.load():
        wake_up(sem.queue, 0)


def percpu_down_write(sem: PercpuRwsem) -> None:
    """Take it for writing: no reader is inside.  May sleep."""
    mutex_lock(sem.writers)
    sem.writer.xchg(current().ref)
    with waiting_on(sem.reader, "percpu_down_write"):
        wait_event(sem.queue, lambda: not sem.readers.load())


def percpu_up_write(sem: PercpuRwsem) -> None:
    """Pairs with percpu_down_write().  Does not sleep."""
    if sem.writer.load() != current().ref:
        raise UsageError("percpu_up_write: the current task does not hold it")
    sem.writer.xchg(0)
    wake_up(sem.queue, 0)
    mutex_unlock(sem.writers)
