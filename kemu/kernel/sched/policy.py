"""Policies and priorities: sched_setscheduler, and the stop task.

Linux: kernel/sched/core.c.  Not modelled: deadline, nice values.

Locks: pi_lock and rq.lock.  Callers: cpu_stop, watchdog, v2_6; users.
"""

from __future__ import annotations

from kemu.errors import UsageError
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import (DEFAULT_PRIO, FAIR, MAX_RT_PRIO, RT, STOP, cpu_rq,
                                        dequeue_task, enqueue_task, resched_curr, task_curr,
                                        task_rq_lock, task_rq_unlock)
from kemu.memory.views import Task, check_alive

SCHED_NORMAL = 0
SCHED_FIFO = 1


def sched_setscheduler(p: Task, policy: int, priority: int = 0) -> None:
    """Give p a policy: SCHED_NORMAL, or SCHED_FIFO with a priority of 1 to 99.

    A queued task moves to its new class's queue.  Any context.
    Raises UsageError for a policy or priority that does not exist.
    """
    check_alive(p)
    if policy not in (SCHED_NORMAL, SCHED_FIFO):
        raise UsageError(f"policy {policy}: only SCHED_NORMAL (0) and SCHED_FIFO (1)")
    if policy == SCHED_FIFO and not 1 <= priority < MAX_RT_PRIO:
        raise UsageError(f"FIFO priority {priority}: 1 to {MAX_RT_PRIO - 1}")
    rq, flags = task_rq_lock(p)
    queued = p.on_rq.load()
    if queued:
        dequeue_task(rq, p)
    p.policy.store(policy)
    p.sched_class.store(RT if policy == SCHED_FIFO else FAIR)
    p.prio.store(MAX_RT_PRIO - 1 - priority if policy == SCHED_FIFO else DEFAULT_PRIO)
    if queued:
        enqueue_task(rq, p)
        if task_curr(p) or p.prio.load() < system.tasks.at(rq.curr.load()).prio.load():
            resched_curr(rq)
    task_rq_unlock(rq, p, flags)


def sched_set_stop_task(cpu: int, stop: Task | None) -> None:
    """Make the task the stop task of that CPU; None: the CPU has no stop task any more.  Any context.

    The task appears as FIFO 99.  It then gets the stop class without leaving a queue.  That class
    has no queue, so the task must be off every runqueue (exhibit stop-class-while-queued).
    """
    rq = cpu_rq(cpu)
    old = system.tasks.get(rq.stop.load())
    if stop is not None:
        sched_setscheduler(stop, SCHED_FIFO, MAX_RT_PRIO - 1)
        stop.sched_class.store(STOP)
    rq.stop.store(stop.ref if stop is not None else 0)
    if old is not None:
        # The old stop task gets a normal class again, so that it can exit.
        old.sched_class.store(RT)
