"""The invariants of runqueues and tasks that cost too much to assert at every step.

kemu's own.  S1 to S11 are the numbers in runqueue, bug, schedule and wakeup, where the cheap
ones are asserted in passing.

The audit holds every rq.lock, in the order of CPUs, so that no task is queued, unqueued or
switched meanwhile.

Locks: all rq.locks.  Callers: machine, kthread_audit; users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.sched.bug import CLASS_NAMES
from kemu.kernel.sched.runqueue import FAIR, IDLE, RT, STOP, idle_tasks, runqueues
from kemu.kernel.sched.state import PF_MIGRATING, TASK_RUNNING, TASK_WAKING
from kemu.memory.views import Cpu, Task


def _queued(rq: Cpu) -> Iterator[tuple[int, Task]]:
    """Every task linked on rq, with the class of the queue it is linked in."""
    for node in rq.fair.nodes():
        yield FAIR, system.tasks.owning(node)
    for queue in rq.rt:
        for node in queue.nodes():
            yield RT, system.tasks.owning(node)
    stop = system.tasks.get(rq.stop.load())
    if stop is not None and stop.on_rq.load():
        yield STOP, stop


def _audit_queue(rq: Cpu, seen: dict[int, int]) -> Iterator[str]:
    nr = {FAIR: 0, RT: 0, STOP: 0}
    for queue_class, p in _queued(rq):
        nr[queue_class] += 1
        if p.slot in seen:
            yield f"S1: {p} is linked on cpu{seen[p.slot]} and on cpu{rq.cpu}"
        seen[p.slot] = rq.cpu
        if not p.on_rq.load():
            yield f"S1: {p} is linked on cpu{rq.cpu} with on_rq 0"
        if p.cpu.load() != rq.cpu:
            yield f"S2: {p} is linked on cpu{rq.cpu} and holds cpu{p.cpu.load()}"
        if p.sched_class.load() != queue_class:
            yield (f"S4: {p} of class {CLASS_NAMES[p.sched_class.load()]} is linked in the "
                   f"queue of class {CLASS_NAMES[queue_class]} of cpu{rq.cpu}")
    if sum(nr.values()) != rq.nr_running.load():
        yield f"S3: cpu{rq.cpu} has {sum(nr.values())} queued, nr_running {rq.nr_running.load()}"
    if (nr[FAIR], nr[RT]) != (rq.fair_nr.load(), rq.rt_nr.load()):
        yield f"S3: cpu{rq.cpu} counts {rq.fair_nr.load()} fair, {rq.rt_nr.load()} fifo: {nr}"


def _audit_cpu(rq: Cpu) -> Iterator[str]:
    curr = system.tasks.at(rq.curr.load())
    if not curr.used.load():
        yield f"S5: cpu{rq.cpu} runs a task that is gone"
    elif curr.cpu.load() != rq.cpu:
        yield f"S5: cpu{rq.cpu} runs {curr}, which holds cpu{curr.cpu.load()}"
    elif not (curr is idle_tasks[rq.cpu] or curr.cpus_allowed.load() >> rq.cpu & 1
              or curr.flags.load() & PF_MIGRATING):
        yield f"S9: cpu{rq.cpu} runs {curr}, whose mask is {curr.cpus_allowed.load():#x}"
    idle = idle_tasks[rq.cpu]
    if idle.state.load() != TASK_RUNNING or idle.sched_class.load() != IDLE:
        yield f"S11: {idle} is not in TASK_RUNNING or not of the idle class"
    if not idle.on_rq.load():
        yield f"S11: {idle} has on_rq 0: an interrupt that wakes it would wait for itself"


def _audit_tasks(linked: dict[int, int]) -> Iterator[str]:
    running = {rq.curr.load() for rq in runqueues}
    for p in system.tasks.used():
        if p.sched_class.load() == IDLE:
            continue
        if p.on_rq.load() and p.slot not in linked:
            yield f"S1: {p} says on_rq and is linked nowhere"
        if p.on_cpu.load() and p.slot not in running:
            yield f"S5: {p} says on_cpu and is no CPU's current"
        if p.state.load() == TASK_WAKING and not p.pi_lock.load():
            yield f"S7: {p} is WAKING, and no task holds its pi_lock to wake it"


@contextmanager
def scheduler_stopped() -> Iterator[None]:
    """In this block no task is queued, unqueued or switched.  Must not hold an rq.lock; must not sleep."""
    flags = native.local_irq_save()
    for rq in runqueues:
        rq.lock.lock()
    yield
    for rq in runqueues:
        rq.lock.unlock()
    native.local_irq_restore(flags)


def audit() -> list[str]:
    """Every violation of S1 to S11, in words; empty if there is none.  Must not hold an rq.lock."""
    seen: dict[int, int] = {}
    found: list[str] = []
    with scheduler_stopped():
        for rq in runqueues:
            found += _audit_queue(rq, seen)
            found += _audit_cpu(rq)
        found += _audit_tasks(seen)
    return found
