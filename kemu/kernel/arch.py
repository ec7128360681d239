"""A CPU as the kernel sees it: it is powered on, and it plays dead.

Linux: arch/x86/kernel/smpboot.c (native_cpu_up, native_cpu_die, play_dead).  Not modelled:
the real-mode trampoline; a CPU that does not answer.

The process of a CPU that goes down stays.  Its idle task waits, with interrupts off, for
IPI_INIT.

    arch.dead     <- 1 by the CPU, as its last act (release); 0 by the task that powers it on
    cpu.ipi       |= IPI_INIT by the task that powers the CPU on; the CPU clears the bit
    online_mask   |= the CPU's bit: by the CPU, when it takes part again

Locks: the caller holds the hotplug lock.  Callers: hotplug, v2_6, watchdog, hung_task, task_thread.
"""

from __future__ import annotations

from typing import Final

from kemu import native
from kemu.kernel.own import wiring
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import runqueues
from kemu.memory.struct import PerCPU, Word
from kemu.native import local_irq_save


class ArchCpu(PerCPU, keep=True):
    """A CPU as its board knows it."""

    dead: Final = Word()


def __cpu_up(cpu: int) -> None:
    """Power the CPU on, and wait until it is online.  Polls."""
    ArchCpu.on(cpu).dead.store(0)
    runqueues[cpu].ipi.fetch_or(native.IPI_INIT)
    system.memory.kick(cpu)
    online = system.header.online_mask
    while not online.test_bit(cpu):
        online.wait_while(online.load() & ~(1 << cpu))


def __cpu_die(cpu: int) -> None:
    """Wait until the CPU executes nothing any more.  Polls."""
    ArchCpu.on(cpu).dead.wait_while(0, runqueues[cpu].idle.load())


def is_stopped(cpu: int) -> bool:
    """Whether the process of the CPU is stopped on the host (SIGSTOP, a debugger).  Any context."""
    try:
        with open(f"/proc/{runqueues[cpu].os_pid.load()}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False        # the process has gone, which its helper reports


def play_dead(cpu: int) -> None:
    """Do nothing until the CPU is powered on.  Runs in its idle task; leaves interrupts off."""
    local_irq_save()
    wiring.power_off(cpu)
    rq = runqueues[cpu]
    rq.need_resched.store(0)
    ArchCpu.on(cpu).dead.store_release(1)
    while not rq.ipi.load() & native.IPI_INIT:
        native.idle()
        rq.need_resched.store(0)
    rq.ipi.fetch_and(~native.IPI_INIT)
