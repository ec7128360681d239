"""Locks that an interrupt takes, and that are held somewhere with interrupts on.

Linux: kernel/locking/lockdep.c (mark_lock, print_usage_bug).  Not modelled: the order of
locks, softirqs, a lock that is held while interrupts are turned on.

A CPU that holds a lock with interrupts on can be interrupted by a handler that takes the
same lock: the handler then waits for the task that it interrupted.  That needs an unlucky
moment.  No such moment is needed for a proof: it is enough that one task took a lock of
the class in an interrupt, and a task took a lock of the same class with interrupts on.

    symbol lock:CLASS           <- the uses: by lockuse.c
    symbol lock:CLASS:USE       <- the offset of the stack of the first such use: by its task

The hardware half is native/hardware/lockuse.c.  It calls mark_lock() only while GATE_LOCKDEP
is set, and only for the first use of a kind of each class.

Locks: none.  Callers: the lock vector; harness.side_run and cli/hotplug turn it on.
"""

from __future__ import annotations

import sys
import traceback

from kemu import native
from kemu.errors import OutOfMemory
from kemu.kernel.own.system import system
from kemu.kernel.panic import WARN
from kemu.memory.views import Header
from kemu.native import Word, current

PREFIX = "lock:"
USES = {native.LOCK_IN_HARDIRQ: "IN-HARDIRQ-W", native.LOCK_HARDIRQS_ON: "HARDIRQ-ON-W"}


def track_locks(memory: native.Memory) -> None:
    """Have a machine track how its locks are taken, from now on.  The controller calls it."""
    Header(memory).gate.fetch_or(native.GATE_LOCKDEP)


def mark_lock(lock_class: int, use: int, before: int) -> None:
    """The current task is about to take a lock of the class in a new way.  Any context.

    Warns if the class was taken in the other way before: inconsistent lock state.
    """
    stack = "".join(traceback.format_stack(sys._getframe(1)))
    _stack_word(lock_class, use).store_release(_publish(stack))
    for other, name in USES.items():
        if other != use and before & other:
            WARN(_usage_bug(lock_class, name, USES[use], _first_stack(lock_class, other)), depth=2)


def _stack_word(lock_class: int, use: int) -> Word:
    name = system.memory.symbol_name(lock_class)
    return Word(system.memory, system.memory.symbol(f"{name}:{use}"))


def _publish(stack: str) -> int:
    """Where the stack is from now on; 0 if there is no room for it."""
    try:
        return system.memory.publish(stack.encode())
    except OutOfMemory:
        return 0


def _first_stack(lock_class: int, use: int) -> str:
    """The stack of the class's first such use, on any CPU."""
    offset = _stack_word(lock_class, use).load_acquire()
    if not offset:
        return "  (its stack was not recorded)\n"
    return system.memory.published(offset).decode()


def _usage_bug(lock_class: int, was: str, now: str, stack: str) -> str:
    name = system.memory.symbol_name(lock_class).removeprefix(PREFIX)
    me, in_irq = current(), now == "IN-HARDIRQ-W"
    return (f"inconsistent lock state\n"
            f"inconsistent {{{was}}} -> {{{now}}} usage.\n"
            f"{me.comm}/{me.pid.load()} [HC{in_irq:d}:HE{not native.irqs_disabled():d}] takes:\n"
            f" ({name})\n"
            f"{{{was}}} state was registered at:\n{stack}"
            " Possible unsafe locking scenario:\n\n"
            "       CPU0\n       ----\n"
            f"  lock({name});\n  <Interrupt>\n    lock({name});\n\n"
            " *** DEADLOCK ***\n"
            "The stack of the new usage follows.")
