"""kemu: Linux's per-CPU kernel-thread machinery in user space, on real cores.

Boot a machine, and run a function on one of its CPUs as a task:

    import kemu
    from kemu.kernel import kthread

    with kemu.Machine(cpus=4) as m:
        print(m.run(function, argument, cpu=0))

What you hold: Machine, Handle (of a task that was started).  Shared memory: Struct,
PerCPU, and their fields Word, Lock, ListHead, Embedded, TaskRef; Completion.  Races: Race,
Plan, run_race, point; what an actor is given is a ``kemu.harness.trial.Trial``.  In tasks:
exec, printk.

In a task everything of ``kemu.kernel`` can be called, under the names it has in
Linux: kthread_create_on_cpu, kthread_park, sched.schedule, ...

Reading order: ``machine/machine.py`` (what you hold), ``machine/processor.py`` (a
CPU), ``kernel/sched/__init__.py`` (the serialization rules), ``kernel/kthread.py``,
``races/unpark_wrong_cpu.py`` (a race, both sides), ``native/hardware/cpu.c`` (the hardware).

What is not modelled: load balancing, memory management, signals, RCU beyond a
grace period, cgroups, NUMA.  Rates of hits are those of Python-wide windows on
your host, not the kernel's odds; sides that differ by a memory barrier alone
cannot be told apart.

Names here are loaded when they are first used, so that a CPU process stays small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kemu.errors import (KemuError, KernelBug, KernelHang, KernelPanic, KernelWarning, MachineError,
                         MachineStopped, NoTask, OutOfMemory, RemoteError, TaskOops, TaskTimeout,
                         UsageError)

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
    from kemu.harness.race import Race as Race
    from kemu.harness.runner import Plan as Plan
    from kemu.harness.runner import run_race as run_race

__version__ = "0.1.0"

_HOMES = {
    "Completion": "kemu.kernel.sched.completion", "Embedded": "kemu.memory.struct",
    "Handle": "kemu.machine.handle", "ListHead": "kemu.memory.struct",
    "Lock": "kemu.memory.struct", "Machine": "kemu.machine.machine",
    "PerCPU": "kemu.memory.struct", "Plan": "kemu.harness.runner", "Race": "kemu.harness.race",
    "Struct": "kemu.memory.struct", "TaskRef": "kemu.memory.struct",
    "Word": "kemu.memory.struct", "exec": "kemu.kernel.exec", "point": "kemu.kernel.own.point",
    "printk": "kemu.kernel.printk", "run_race": "kemu.harness.runner",
}

__all__ = [
    "Completion", "Embedded", "Handle", "KemuError", "KernelBug", "KernelHang", "KernelPanic",
    "KernelWarning", "ListHead", "Lock", "Machine", "MachineError", "MachineStopped", "NoTask",
    "OutOfMemory", "PerCPU", "Plan", "Race", "RemoteError", "Struct", "TaskOops", "TaskRef",
    "TaskTimeout", "UsageError", "Word", "exec", "point", "printk", "run_race",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kemu' has no attribute {name!r}")
