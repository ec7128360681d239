"""The chain of callbacks that the kernel calls when a CPU comes up or goes down.

Linux: kernel/sys.c (notifier_chain_register, notifier_call_chain),
include/linux/notifier.h (2.6.6).  Later fixes in it: CPU_UP_CANCELED is sent only to those
that were sent CPU_UP_PREPARE (2.6.18's nr_to_call).

    chain   <- blocks, highest priority first, equals in order of registration: under the
               hotplug lock

The kernel calls a callback with an action and a CPU.  It returns NOTIFY_OK or NOTIFY_DONE,
or NOTIFY_BAD, which ends the round.  NOTIFY_BAD at CPU_UP_PREPARE is a veto.

Locks: the caller holds the hotplug lock.  Callers: cpu, init, migration_call, softirq.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Final

from kemu.errors import MachineStopped, UsageError
from kemu.kernel.own.system import system
from kemu.kernel.printk import printk
from kemu.kernel.sched.schedule import ThreadEnds
from kemu.memory import functions
from kemu.memory.struct import List, ListHead, PerCPU, Struct, Word

CPU_ONLINE = 2          # the CPU is up
CPU_UP_PREPARE = 3      # the CPU is to come up; a callback that objects returns NOTIFY_BAD
CPU_UP_CANCELED = 4     # the CPU was to come up, and does not
CPU_DEAD = 6            # it is gone

NOTIFY_DONE = 0
NOTIFY_OK = 1
NOTIFY_STOP_MASK = 0x8000
NOTIFY_BAD = NOTIFY_STOP_MASK | 2

Notifier = Callable[[int, int], int]


class NotifierBlock(Struct):
    """struct notifier_block."""

    next: Final = Word()
    prev: Final = Word()
    call: Final = Word()
    priority: Final = Word()


class CpuChain(PerCPU, keep=True):
    """The chain of the machine.  Only CPU 0's copy is used."""

    blocks: Final = ListHead()


def _blocks() -> list[NotifierBlock]:
    return [NotifierBlock.at(system.memory, node) for node in CpuChain.on(0).blocks.nodes()]


def _find(call: Notifier) -> NotifierBlock | None:
    """The block of a callback, by its full name: a function that travels by value has copies."""
    for block in _blocks():
        other = functions.load(block.call.load())
        if (other.__module__, other.__qualname__) == (call.__module__, call.__qualname__):
            return block
    return None


def notifier_chain_register(call: Notifier, priority: int) -> None:
    """Put a callback before the first of lower priority.  Raises UsageError if it is registered."""
    if _find(call):
        raise UsageError(f"{call.__name__} is registered already")
    block = NotifierBlock.alloc()
    block.call.store(functions.publish(call))
    block.priority.store(priority)
    for other in _blocks():
        if other.priority.load() < priority:
            List(system.memory, other.base).add_tail(block.base)   # in front of it
            return
    CpuChain.on(0).blocks.add_tail(block.base)


def notifier_chain_unregister(call: Notifier) -> None:
    """Take a callback out of the chain.  Raises UsageError if it is not registered."""
    block = _find(call)
    if block is None:
        raise UsageError(f"{call.__name__} is not registered")
    system.memory.list_del(block.base)
    block.free()


def _call(block: NotifierBlock, action: int, cpu: int) -> int:
    """Call one callback.  If it raises, or returns anything but an answer, it objects."""
    call: Notifier = functions.load(block.call.load())
    try:
        ret = call(action, cpu)
        if not isinstance(ret, int):
            raise UsageError(f"a notifier returns NOTIFY_OK, NOTIFY_DONE or NOTIFY_BAD, not {ret!r:.80}")
        return ret
    except (MachineStopped, ThreadEnds):
        raise
    except Exception:
        printk(f"notifier {call.__name__}({action}, cpu{cpu}) raised:\n{traceback.format_exc()}")
        return NOTIFY_BAD


def notifier_call_chain(action: int, cpu: int, nr_to_call: int = -1) -> tuple[int, int]:
    """Call the first nr_to_call callbacks of the chain, until one objects.  May sleep.

    Returns the last answer, and how many callbacks were called.  If the answer is NOTIFY_BAD, the
    last callback has not accepted.
    """
    ret, called = NOTIFY_DONE, 0
    for block in _blocks():
        if called == nr_to_call:
            break
        ret = _call(block, action, cpu)
        called += 1
        if ret & NOTIFY_STOP_MASK:
            break
    return ret, called
