"""The hotplug lock: while a task holds it for reading, no CPU comes or goes.

Linux: kernel/cpu.c (cpu_hotplug_lock, cpus_read_lock, cpus_write_lock).  It is a module of
its own because stop_machine(), which cpu (hotplug) calls, takes it too.

Locks: cpu_hotplug_lock; it comes before smpboot_threads_lock and stop_cpus_mutex.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kemu.kernel.locking.percpu_rwsem import (PercpuRwsem, percpu_down_read, percpu_down_write,
                                              percpu_up_read, percpu_up_write)
from kemu.memory.struct import Embedded, PerCPU


class CpuHotplug(PerCPU, keep=True):
    """The hotplug lock of the machine.  Only CPU 0's copy is used."""

    lock: Final = Embedded(PercpuRwsem)


@contextmanager
def cpus_read() -> Iterator[None]:
    """cpus_read_lock() for a block: no CPU comes or goes.  May sleep."""
    percpu_down_read(CpuHotplug.on(0).lock)
    try:
        yield
    finally:
        percpu_up_read(CpuHotplug.on(0).lock)


@contextmanager
def cpus_write() -> Iterator[None]:
    """cpus_write_lock() for a block: the caller alone brings CPUs up or down.  May sleep."""
    percpu_down_write(CpuHotplug.on(0).lock)
    try:
        yield
    finally:
        percpu_up_write(CpuHotplug.on(0).lock)
