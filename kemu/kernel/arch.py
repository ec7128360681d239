"""What a CPU is to the kernel: it is powered on, and it plays dead.

Linux: arch/x86/kernel/smpboot.c (native_cpu_up, native_cpu_die, play_dead).  Not modelled:
the real-mode trampoline; a CPU that does not answer.

A CPU's process stays when the CPU goes: its idle task waits, interrupts off, for
IPI_INIT.

    arch.dead     <- 1 by the CPU, the last thing it does (release); 0 by who powers it on
    cpu.ipi       |= IPI_INIT by who powers it on; taken away by the CPU
    online_mask   |= its bit by the CPU, when it takes part again

Locks: the caller's hotplug lock.  Callers: cpu, v2_6.cpu; the CPU's idle task;
processor.
"""

from __future__ import annotations

from kemu import native
from kemu.kernel.own import wiring
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import runqueues
from kemu.memory.struct import PerCPU, Word
from kemu.native import local_irq_save


class ArchCpu(PerCPU, keep=True):
    """A CPU as its board knows it."""

    dead = Word()


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
