"""Being told when every task is blocked.

kemu's own.  The last CPU to go idle, with no timer, interrupt or wake-up pending
anywhere, finds that nothing will ever happen again unless somebody outside acts
(native/hardware/quiet.c), and raises IPI_QUIESCENT at one that is online.  Whoever armed that is woken.

    Quiescence.waiter   <- the completion to complete: by who arms
    header.gate         |= GATE_QUIESCE, after that; taken away by the CPU that finds it so

Locks: none.  Callers: races (the referee), init; the interrupt.
"""

from __future__ import annotations

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import (Completion, complete, completion_on_stack,
                                          wait_for_completion)
from kemu.memory.struct import PerCPU, Word


class Quiescence(PerCPU, keep=True):
    """Of CPU 0: there is one for the machine."""

    waiter = Word()


def arm_quiescence(waiter: Completion) -> None:
    """Complete the waiter once, when every task is blocked.  Any context."""
    Quiescence.on(0).waiter.store_release(waiter.base)
    system.header.gate.fetch_or(native.GATE_QUIESCE)


def wait_until_quiet() -> None:
    """Sleep until no task but the caller has anything to do.  May sleep."""
    with completion_on_stack() as quiet:
        arm_quiescence(quiet)
        wait_for_completion(quiet)
        Quiescence.on(0).waiter.store(0)


def quiescent() -> None:
    """The interrupt.  Interrupts are off."""
    base = Quiescence.on(0).waiter.load_acquire()
    if base:
        complete(Completion.at(system.memory, base))
