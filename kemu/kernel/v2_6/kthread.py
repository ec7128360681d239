"""Kernel threads of 2.6.6: keventd creates them, and kthread_bind() only sets a mask.

Linux: kernel/kthread.c (2.6.6).  Parking did not exist; the rest of kthread.c is
kemu.kernel.kthread's.

A task that calls kthread_create() leaves a work to keventd and sleeps, so a new thread inherits
nothing from it.  keventd waits until the thread exists, and then completes the request.

    create.request    <- what to create: by the caller, who frees the structure
    create.result     <- the thread; it stays 0 if no slot was left: by keventd, before done

Locks: none.  Callers: migration_call, stop_machine, softirq, cpu.
"""

from __future__ import annotations

from typing import Any, Final

from kemu.errors import OutOfMemory
from kemu.kernel.cpumask import cpumask_of
from kemu.kernel.kthread import ThreadFn, kthread_create_on_node
from kemu.kernel.own.hung import waiting_for
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.kernel.sched.policy import SCHED_FIFO, sched_setscheduler
from kemu.kernel.sched.wait import wait_task_inactive
from kemu.kernel.v2_6.workqueue import Keventd, WorkStruct, init_work, keventd_up, schedule_work
from kemu.memory import functions
from kemu.memory.struct import Embedded, Struct, TaskRef, Word
from kemu.memory.views import Task

MAX_USER_RT_PRIO = 100


class KthreadCreateInfo(Struct):
    """struct kthread_create_info."""

    request: Final = Word()
    result: Final = TaskRef()
    done: Final = Embedded(Completion)
    work: Final = Embedded(WorkStruct)


def kernel_thread(threadfn: ThreadFn, data: Any, cpu: int, comm: str) -> Task:
    """Create a thread without keventd.  That CPU's process starts its OS thread.  May sleep.

    Raises OutOfMemory.
    """
    return kthread_create_on_node(threadfn, data, -1, comm, cpu, home=cpu)


def keventd_create_kthread(base: int) -> None:
    """Create the thread that the structure at base describes.  A work's function, on keventd."""
    create = KthreadCreateInfo.at(system.memory, base)
    try:
        create.result.set(kernel_thread(*functions.peek(create.request.load())))
    except OutOfMemory:
        create.result.set(None)
    complete(create.done)


def kthread_create(threadfn: ThreadFn, data: Any, cpu: int, comm: str) -> Task:
    """Have keventd create a thread that does not run yet.  May sleep.

    comm has one ``%u``, for the CPU.  Raises OutOfMemory if no task slot is left.  Before keventd
    exists, the caller creates the thread itself.
    """
    if not keventd_up():
        return kernel_thread(threadfn, data, cpu, comm)
    create = KthreadCreateInfo.alloc()
    create.request.store(functions.post((threadfn, data, cpu, comm)))
    init_work(create.work, keventd_create_kthread, create.base)
    schedule_work(create.work)
    point("kthread_create:queued")
    with waiting_for(Keventd.on(0).wq.thread.get(), "kthread_create"):
        wait_for_completion(create.done)
    k: Task | None = create.result.get()
    system.memory.heap_free(create.request.load())
    create.free()
    if k is None:
        raise OutOfMemory(f"no task slot is left for {comm % cpu}")
    return k


def kthread_bind(k: Task, cpu: int) -> None:
    """Bind a thread that sleeps to a CPU: its next wake-up goes there.  May sleep."""
    wait_task_inactive(k, 0)
    do_set_cpus_allowed(k, cpumask_of(cpu))


def bind_first(k: Task, cpu: int) -> Task:
    """Bind a new thread to that CPU, and let it run before every other task there.  May sleep.

    All per-CPU threads of 2.6.6 need this; Linux has no such function.  Returns k.
    """
    kthread_bind(k, cpu)
    sched_setscheduler(k, SCHED_FIFO, MAX_USER_RT_PRIO - 1)
    return k
