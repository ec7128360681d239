"""Runqueues: the queues of the scheduling classes, their order, and how they are locked.

Linux: kernel/sched/sched.h, kernel/sched/core.c (task_rq_lock, resched_curr),
kernel/sched/{stop_task,rt,fair,idle_task}.c.  Not modelled: virtual run time (fair tasks
take turns of one tick), groups, bandwidth, balancing.

A queued task is linked in its class's queue of its runqueue, also while it runs and while
it is preempted.  The stop class has no queue: rq.stop is its only task, and enqueue and
dequeue only count.  A task must therefore be off every runqueue when it is given that class
(exhibit stop-class-while-queued).

The C half, runqueue.c, has the links, the counts, the bitmap of priorities and the choice
of the next task; schedule() and try_to_wake_up() use it too.

Locks: rq.lock, inside pi_lock.  The caller of each function below task_rq_unlock() holds
rq.lock.  Callers: all files of the kernel.
"""

from __future__ import annotations

from typing import TypeVar

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.sched.bug import broken
from kemu.memory import current_memory
from kemu.memory.views import Cpu, Task
from kemu.native import smp_processor_id

IDLE, FAIR = native.CLASS_IDLE, native.CLASS_FAIR
RT, STOP = native.CLASS_RT, native.CLASS_STOP

MAX_RT_PRIO = native.MAX_RT_PRIO
DEFAULT_PRIO = 120

T = TypeVar("T")


class _PerProcess(list[T]):
    """A list that each process fills for itself.  A pickled one means the list of the other process."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> str:
        return self.name


runqueues: list[Cpu] = _PerProcess("runqueues")
idle_tasks: list[Task] = _PerProcess("idle_tasks")


@current_memory.on_attach
def _attach(memory: native.Memory) -> None:
    runqueues[:] = [Cpu(memory, cpu) for cpu in range(system.nr_cpus)]
    idle_tasks[:] = [system.tasks.at(rq.idle.load()) for rq in runqueues]


def cpu_rq(cpu: int) -> Cpu:
    return runqueues[cpu]


def this_rq() -> Cpu:
    return runqueues[smp_processor_id()]


def task_rq(p: Task) -> Cpu:
    rq: Cpu = runqueues[p.cpu.load()]
    return rq


def task_cpu(p: Task) -> int:
    """The CPU that p is on; for a sleeper, the CPU that it was on last."""
    cpu: int = p.cpu.load()
    return cpu


def task_curr(p: Task) -> bool:
    """Whether p is the current task of its CPU's runqueue."""
    return bool(task_rq(p).curr.load() == p.slot)


def idle_cpu(cpu: int) -> bool:
    """Whether that CPU runs its idle task and has nothing queued."""
    rq = runqueues[cpu]
    return rq.curr.load() == rq.idle.load() and not rq.nr_running.load()


def task_rq_lock(p: Task) -> tuple[Cpu, int]:
    """Lock p's pi_lock and the runqueue that p is on by then.  Pairs with task_rq_unlock()."""
    flags = native.task_rq_lock(p.slot)
    return task_rq(p), flags


def task_rq_unlock(rq: Cpu, p: Task, flags: int) -> None:
    """Pairs with task_rq_lock()."""
    rq.lock.unlock()
    p.pi_lock.unlock_irqrestore(flags)


def resched_curr(rq: Cpu) -> None:
    """Make rq's CPU call schedule() soon.  Caller holds rq.lock."""
    rq.queue.resched()


def enqueue_task(rq: Cpu, p: Task) -> None:
    """Link p into its class's queue of rq, behind its equals."""
    if not rq.queue.enqueue(p.slot):
        broken(native.BUG_CLASS, rq, p)


def dequeue_task(rq: Cpu, p: Task) -> None:
    """Unlink p from its class's queue of rq."""
    if not rq.queue.dequeue(p.slot):
        broken(native.BUG_QUEUE, rq, p)


def activate_task(rq: Cpu, p: Task) -> None:
    """Queue p and set on_rq.  Caller has set p's CPU."""
    why = rq.queue.activate(p.slot)
    if why:
        broken(why, rq, p)


def deactivate_task(rq: Cpu, p: Task) -> None:
    """Unqueue p and clear on_rq."""
    why = rq.queue.deactivate(p.slot)
    if why:
        broken(why, rq, p)


def pick_next_task(rq: Cpu) -> Task:
    """The most urgent queued task; the idle task if none is queued."""
    slot = rq.queue.pick_next()
    if slot < 0:
        broken(slot, rq, system.tasks.at(rq.curr.load()))
    return system.tasks.at(slot)


def check_preempt_curr(rq: Cpu, p: Task) -> None:
    """p was just queued: make rq's CPU call schedule() if it may have to switch."""
    rq.queue.check_preempt(p.slot)


def put_behind(rq: Cpu, p: Task) -> None:
    """Move a queued fair or fifo task behind its equals (Linux: requeue_task)."""
    if p.sched_class.load() in (FAIR, RT) and p.on_rq.load():
        dequeue_task(rq, p)
        enqueue_task(rq, p)


def task_tick(rq: Cpu, curr: Task) -> None:
    """A tick has passed: a fair task must let another fair task run, if one waits."""
    if curr.sched_class.load() == FAIR and rq.fair_nr.load() > 1:
        put_behind(rq, curr)
        resched_curr(rq)
