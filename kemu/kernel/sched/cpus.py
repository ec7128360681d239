"""Runqueues: the CPUs as the scheduler sees them, and how they are locked.

Linux: kernel/sched/sched.h and core.c (task_rq_lock, resched_curr).

Locks: this is where rq.lock and pi_lock are taken together; pi_lock first.
Callers: the rest of the kernel.
"""

from __future__ import annotations

from typing import NoReturn, TypeVar

from kemu import native
from kemu.errors import NoTask, UsageError
from kemu.memory import space
from kemu.memory.views import Cpu, Header, Task, Tasks, tasks_of
from kemu.native import smp_processor_id

T = TypeVar("T")


class _PerProcess(list[T]):
    """A list that each process fills for itself: in another it means the one there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> str:
        return self.name


runqueues: list[Cpu] = _PerProcess("runqueues")
idle_tasks: list[Task] = _PerProcess("idle_tasks")


class _Machine:
    """What the scheduler of this process looks at; filled when it gets its memory."""

    memory: native.Memory
    header: Header
    tasks: Tasks

    def __getattr__(self, name: str) -> NoReturn:
        """Asked only for what is not there: outside a CPU process, all of it."""
        if name in ("memory", "header", "tasks"):
            raise NoTask("only a task of a machine may do this; use Machine.run()")
        raise AttributeError(name)

    def __reduce__(self) -> str:
        return "machine"        # in each process its own: never a copy


machine = _Machine()


@space.on_attach
def _attach(memory: native.Memory) -> None:
    machine.memory = memory
    machine.header = Header(memory)
    machine.tasks = tasks_of(memory)
    native.set_tasks(machine.tasks)
    runqueues[:] = [Cpu(memory, cpu) for cpu in range(machine.header.nr_cpus.load())]
    idle_tasks[:] = [machine.tasks.at(rq.idle.load()) for rq in runqueues]


def cpu_rq(cpu: int) -> Cpu:
    return runqueues[cpu]


def check_cpu(cpu: int) -> None:
    """Raise UsageError for a CPU that the machine has not."""
    if isinstance(cpu, bool) or not isinstance(cpu, int) or not 0 <= cpu < len(runqueues):
        raise UsageError(f"CPU {cpu!r}: this machine has CPUs 0 to {len(runqueues) - 1}")


def this_rq() -> Cpu:
    return runqueues[smp_processor_id()]


def task_rq(p: Task) -> Cpu:
    rq: Cpu = runqueues[p.cpu.load()]
    return rq


def task_cpu(p: Task) -> int:
    """The CPU p holds; for a sleeper, the one it last held."""
    cpu: int = p.cpu.load()
    return cpu


def task_curr(p: Task) -> bool:
    """Whether p is what its CPU's runqueue calls current."""
    return bool(task_rq(p).curr.load() == p.slot)


def idle_cpu(cpu: int) -> bool:
    """Whether that CPU runs its idle task and has nothing queued."""
    rq = runqueues[cpu]
    return rq.curr.load() == rq.idle.load() and not rq.nr_running.load()


def cpu_online(cpu: int) -> bool:
    return 0 <= cpu < len(runqueues) and machine.header.online_mask.test_bit(cpu)


def cpu_active(cpu: int) -> bool:
    return 0 <= cpu < len(runqueues) and machine.header.active_mask.test_bit(cpu)


def cpumask_of(cpu: int) -> int:
    return 1 << cpu


def for_each_cpu(mask: int) -> list[int]:
    """The CPUs of a mask, lowest first."""
    return [cpu for cpu in range(len(runqueues)) if mask >> cpu & 1]


def online_cpus() -> list[int]:
    return for_each_cpu(machine.header.online_mask.load())


def task_rq_lock(p: Task) -> tuple[Cpu, int]:
    """Lock p's pi_lock and the runqueue it is on, whichever that is by then."""
    while True:
        flags = p.pi_lock.lock_irqsave()
        rq = task_rq(p)
        rq.lock.lock()
        if rq is task_rq(p):
            return rq, flags
        rq.lock.unlock()
        p.pi_lock.unlock_irqrestore(flags)


def task_rq_unlock(rq: Cpu, p: Task, flags: int) -> None:
    """Pairs with task_rq_lock()."""
    rq.lock.unlock()
    p.pi_lock.unlock_irqrestore(flags)


def resched_curr(rq: Cpu) -> None:
    """Make rq's CPU call schedule() soon.  Caller holds rq.lock.

    need_resched is stored before the kick looks for an idler, and the kick comes when
    the caller has freed its last spinlock: see native/hardware/cpu.c.
    """
    if rq.need_resched.load():
        return
    rq.need_resched.store(1)
    if rq.cpu != smp_processor_id():
        machine.memory.send_reschedule(rq.cpu)
