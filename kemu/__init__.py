"""kemu: Linux's per-CPU kernel threads in user space, on real cores.

Boot a machine, and run a function on one of its CPUs as a task:

    import kemu

    with kemu.Machine(cpus=4) as m:
        print(m.run(function, argument, cpu=1))

A machine
    Machine       boots CPUs, runs functions on them, closes them
    Handle        a task that Machine.start() began; its result
In a task
    kemu.kernel   import from it what Linux has: kthread, smpboot, sched, stop_machine, ...
    Completion    one task waits, another completes
    point         names a place in the code, where a script or a random delay can hold the task
    printk        prints a line on the machine's console
    exec          replaces the task's function, and may move the task to another CPU
Memory that all CPUs share
    Struct        an object on the shared heap, with the fields below
    PerCPU        one such object for each CPU
    Word          a field: 64 bits, with load(), store(), xchg(), cmpxchg(), add(), ...
    Lock          a field: a spinlock
    ListHead      a field: Linux's list
    Embedded      a field: another Struct
    TaskRef       a field: a task
A race of your own (`kemu new FILE` writes one to begin with)
    Race          what races with what, how it was before the fix, and what must hold
    Trial         what each function of a race is given
    before        names an operation on a word, where a script holds a task
    witness       says that a trial has shown the dangerous state, so that it counts
    Plan          how to run a race: forced, with random delays, or free
    run_race      runs it on both sides
    Outcome       what run_race() returns: counts and verdicts; print() shows it
Errors
    UsageError    the call was wrong; nothing has changed
    MachineError  the machine under the kernel failed; boot another
    KernelPanic   the emulated kernel failed: read its report
    kemu.errors   all of them

help(kemu.Machine) and its like tell more about each.  The command line is `kemu --help`.

What is not modelled: load balancing, memory management, signals, RCU beyond a grace period,
cgroups, NUMA.  A rate of hits is one of Python code on this host, not of the kernel.  Only a search
with a memory model (`--memory tso`, `weak`) tells apart two sides that differ by a memory barrier alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kemu.errors import KemuError as KemuError
from kemu.errors import KernelBug as KernelBug
from kemu.errors import KernelHang as KernelHang
from kemu.errors import KernelPanic as KernelPanic
from kemu.errors import KernelWarning as KernelWarning
from kemu.errors import MachineError as MachineError
from kemu.errors import MachineStopped as MachineStopped
from kemu.errors import NoTask as NoTask
from kemu.errors import OutOfMemory as OutOfMemory
from kemu.errors import RemoteError as RemoteError
from kemu.errors import TaskOops as TaskOops
from kemu.errors import TaskTimeout as TaskTimeout
from kemu.errors import UsageError as UsageError

if TYPE_CHECKING:
    from kemu.kernel.sched.completion import Completion as Completion
    from kemu.kernel.exec import exec as exec
    from kemu.kernel.own.point import point as point
    from kemu.kernel.printk import printk as printk
    from kemu.machine.handle import Handle as Handle
    from kemu.machine.machine import Machine as Machine
    from kemu.memory.struct import Embedded as Embedded
    from kemu.memory.struct import ListHead as ListHead
    from kemu.memory.struct import Lock as Lock
    from kemu.memory.struct import PerCPU as PerCPU
    from kemu.memory.struct import Struct as Struct
    from kemu.memory.struct import TaskRef as TaskRef
    from kemu.memory.struct import Word as Word
    from kemu.harness.operation import before as before
    from kemu.harness.race import Race as Race
    from kemu.harness.trial import Trial as Trial
    from kemu.harness.trial import witness as witness
    from kemu.harness.verdict import Outcome as Outcome
    from kemu.harness.runner import Plan as Plan
    from kemu.harness.runner import run_race as run_race

__version__ = "0.1.0"

_HOMES = {
    "Completion": "kemu.kernel.sched.completion", "Embedded": "kemu.memory.struct",
    "Handle": "kemu.machine.handle", "ListHead": "kemu.memory.struct",
    "Lock": "kemu.memory.struct", "Machine": "kemu.machine.machine",
    "Outcome": "kemu.harness.verdict", "PerCPU": "kemu.memory.struct",
    "Plan": "kemu.harness.runner", "Race": "kemu.harness.race", "Struct": "kemu.memory.struct",
    "TaskRef": "kemu.memory.struct", "Trial": "kemu.harness.trial", "Word": "kemu.memory.struct",
    "before": "kemu.harness.operation", "exec": "kemu.kernel.exec",
    "point": "kemu.kernel.own.point", "printk": "kemu.kernel.printk", "run_race": "kemu.harness.runner",
    "witness": "kemu.harness.trial",
}
"""Each name that is imported when it is first used, so that a CPU's process stays small."""

_NOT_PUBLIC = {"TYPE_CHECKING", "Any", "annotations", "importlib"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module 'kemu' has no attribute {name!r}; dir(kemu) lists its names")


def __dir__() -> list[str]:
    """The public names, for dir(), help() and a shell's completion.

    There is no ``__all__``, because help() would then show every class in full, on 1,000 lines.
    """
    return sorted((globals().keys() | _HOMES.keys()) - _NOT_PUBLIC)
