"""What must hold of hotplug and migration at rest (S45 to S83).

kemu's own.  A task calls the audit while no hotplug operation is under way.

Locks: the hotplug lock.  Callers: init.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu.kernel.cpumask import cpu_online
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.softirq import Softirq
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.migration import Migration


def _audit_cpu(cpu: int) -> Iterator[str]:
    mine, online = Migration.on(cpu), cpu_online(cpu)
    if (mine.thread.get() is not None) != online:
        yield (f"S81: cpu{cpu} is {'online' if online else 'offline'}, its migration thread is "
               f"{mine.thread.get()}")
    if (Softirq.on(cpu).thread.get() is not None) != online:
        yield f"S45: cpu{cpu}'s ksoftirqd is {Softirq.on(cpu).thread.get()}"
    if online:
        return
    if not mine.queue.empty():
        yield f"S83: dead cpu{cpu} has migration requests"
    if runqueues[cpu].nr_running.load():
        yield f"S63: dead cpu{cpu} has {runqueues[cpu].nr_running.load()} tasks queued"
    if not runqueues[cpu].timers.empty():
        yield f"S64: dead cpu{cpu} has timers"


def audit_hotplug() -> list[str]:
    """Every violation, in words; empty if there is none.  May sleep."""
    found: list[str] = []
    header = system.header
    with cpu_hotplug_locked():
        if header.online_mask.load() != header.active_mask.load():
            found.append(f"S60: online {header.online_mask.load():#x}, "
                         f"active {header.active_mask.load():#x}")
        for cpu in range(len(runqueues)):
            found += _audit_cpu(cpu)
    return found
