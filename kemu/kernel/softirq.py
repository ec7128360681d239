"""Softirqs, run by ksoftirqd/N: a small real client of smpboot.

Linux: kernel/softirq.c.  Not modelled: running softirqs at the end of an interrupt;
tasklets.  A softirq therefore always runs in its CPU's thread, and parks with it.

    pending   |= a bit for each softirq: by its CPU (raise_softirq); ksoftirqd takes the
              whole word
    actions   <- open_softirq, before the first raise

Locks: none.  Callers: init, v2_6, torture; users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kemu import native
from kemu.errors import UsageError
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.smpboot import SmpHotplugThread, smpboot_register_percpu_thread
from kemu.memory import functions
from kemu.memory.struct import PerCPU, TaskRef, Word

NR_SOFTIRQS = 10


class Softirq(PerCPU, keep=True):
    """A CPU's softirqs."""

    pending: Final = Word()
    handled: Final = Word()
    thread: Final = TaskRef()


class SoftirqVec(PerCPU, keep=True):
    """Of CPU 0: the actions, published, the same for all CPUs."""

    for _nr in range(NR_SOFTIRQS):
        locals()[f"action{_nr}"] = Word()
    del _nr


def _check(nr: int) -> None:
    if not isinstance(nr, int) or not 0 <= nr < NR_SOFTIRQS:
        raise UsageError(f"softirq {nr!r}: 0 to {NR_SOFTIRQS - 1}")


def open_softirq(nr: int, action: Callable[[int], object]) -> None:
    """Say what the softirq does: action(cpu), in ksoftirqd.  Any context that may allocate."""
    _check(nr)
    getattr(SoftirqVec.on(0), f"action{nr}").store_release(functions.publish(action))


def raise_softirq(nr: int) -> None:
    """Have this CPU's ksoftirqd run it.  Any context."""
    _check(nr)
    flags = native.local_irq_save()
    mine = Softirq.this_cpu()
    mine.pending.set_bit(nr)
    thread = mine.thread.get()
    if thread is not None:
        wake_up_process(thread)
    native.local_irq_restore(flags)


def ksoftirqd_should_run(cpu: int) -> bool:
    return bool(Softirq.on(cpu).pending.load())


def run_ksoftirqd(cpu: int) -> None:
    """Run what is pending.  Runs on ksoftirqd/N."""
    mine = Softirq.on(cpu)
    pending = mine.pending.xchg(0)
    for nr in range(NR_SOFTIRQS):
        action = getattr(SoftirqVec.on(0), f"action{nr}").load_acquire()
        if pending >> nr & 1 and action:
            functions.load(action)(cpu)
            mine.handled.add(1)


softirq_threads: Final = SmpHotplugThread("ksoftirqd/%u", ksoftirqd_should_run, run_ksoftirqd,
                                   store=Softirq)


def spawn_ksoftirqd() -> None:
    """At boot.  May sleep."""
    smpboot_register_percpu_thread(softirq_threads)
