"""How a task waits until every other task is blocked.

kemu's own.  When the last CPU goes idle, and no timer, interrupt or wake-up is pending on
any CPU, nothing will happen any more unless the controller acts (native/hardware/gate.c).
That CPU raises IPI_QUIESCENT at a CPU that is online, whose handler completes the waiter.

    Quiescence.waiter   <- the completion: by the task that arms
    header.gate         |= GATE_QUIESCE, after that; the CPU that finds the machine quiet
                        clears the bit

Locks: none.  Callers: harness, init, v2_6, machine.
"""

from __future__ import annotations

from typing import Final

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import (Completion, complete, completion_on_stack,
                                          wait_for_completion)
from kemu.memory.struct import PerCPU, Word


class Quiescence(PerCPU, keep=True):
    """Of CPU 0: there is one for the machine."""

    waiter: Final = Word()


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
