"""The lock against CPU hotplug: one semaphore, which its holder may sleep with.

Linux: kernel/cpu.c (2.6.6: cpucontrol, lock_cpu_hotplug).

While a task holds it, no CPU comes or goes.  It is not recursive: a task that takes it
twice is a BUG.

Locks: this one is the outermost.  Callers: cpu, workqueue, audit, users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kemu.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from kemu.memory.struct import Embedded, PerCPU


class CpuControl(PerCPU, keep=True):
    """The hotplug lock of the machine.  Only CPU 0's copy is used."""

    mutex: Final = Embedded(Mutex)


def lock_cpu_hotplug() -> None:
    """Keep every CPU as it is until unlock_cpu_hotplug().  May sleep."""
    mutex_lock(CpuControl.on(0).mutex)


def unlock_cpu_hotplug() -> None:
    """Pairs with lock_cpu_hotplug()."""
    mutex_unlock(CpuControl.on(0).mutex)


@contextmanager
def cpu_hotplug_locked() -> Iterator[None]:
    """lock_cpu_hotplug() for the length of a block.  May sleep."""
    lock_cpu_hotplug()
    try:
        yield
    finally:
        unlock_cpu_hotplug()
