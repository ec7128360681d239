"""kthread_bind of the time: a mask, and no promise.

Linux: kernel/kthread.c (2.6.6).  Parking had not been thought of; the rest of kthread.c
is kemu.kernel.kthread's.

Locks: none.  Callers: migration_call, stop_machine, softirq, cpu.
"""

from __future__ import annotations

from typing import Any

from kemu.kernel.cpumask import cpumask_of
from kemu.kernel.kthread import ThreadFn, kthread_create_on_node
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.kernel.sched.policy import SCHED_FIFO, sched_setscheduler
from kemu.kernel.sched.wait import wait_task_inactive
from kemu.memory.views import Task

MAX_USER_RT_PRIO = 100


def kthread_bind(k: Task, cpu: int) -> None:
    """Bind a thread that sleeps to a CPU: its next wake-up goes there.  May sleep."""
    wait_task_inactive(k, 0)
    do_set_cpus_allowed(k, cpumask_of(cpu))


def create_bound(threadfn: ThreadFn, data: Any, cpu: int, comm: str) -> Task:
    """A thread that will run on that CPU alone, before every other, once it is woken.  May sleep.

    What this version's per-CPU threads have in common; no function of Linux.
    """
    k = kthread_create_on_node(threadfn, data, -1, comm, cpu, home=cpu)
    kthread_bind(k, cpu)
    sched_setscheduler(k, SCHED_FIFO, MAX_USER_RT_PRIO - 1)
    return k
