"""Affinity: masks, and how a task leaves a CPU that its mask does not have.

Linux: kernel/sched/core.c (do_set_cpus_allowed, set_cpus_allowed_ptr, __migrate_task).
Not modelled: NUMA, cpusets.

Locks: pi_lock, then rq.lock.  Callers: kthread, hotplug, v2_6, harness; users.
"""

from __future__ import annotations

from errno import EINVAL

from kemu.kernel.cpumask import for_each_cpu
from kemu.kernel.own import wiring
from kemu.kernel.own.point import point
from kemu.kernel.sched.runqueue import (activate_task, check_preempt_curr, cpu_rq, deactivate_task,
                                        task_rq_lock, task_rq_unlock)
from kemu.kernel.sched.state import PF_MIGRATING, PF_NO_SETAFFINITY
from kemu.kernel.sched.wakeup import set_task_cpu, usable_mask
from kemu.memory.views import Cpu, Task, check_alive



def do_set_cpus_allowed(p: Task, mask: int) -> None:
    """Store the mask, and nothing else: the task does not move.

    Use it for a task that is off every runqueue: the task's next wake-up places it.
    """
    p.cpus_allowed.store(mask)


def move_queued_task(rq: Cpu, p: Task, dest: int) -> None:
    """Move a task to another CPU.  The task is queued and does not run.

    Caller holds pi_lock, with interrupts off.  move_queued_task() drops rq.lock on the way;
    meanwhile no waker can wake the task, because a waker needs pi_lock.
    """
    deactivate_task(rq, p)
    set_task_cpu(p, dest)
    rq.lock.unlock()
    dest_rq = cpu_rq(dest)
    dest_rq.lock.lock()
    activate_task(dest_rq, p)
    check_preempt_curr(dest_rq, p)
    dest_rq.lock.unlock()


def set_cpus_allowed_ptr(p: Task, mask: int) -> int:
    """Let p run on these CPUs only, and move p there.  For the kernel's own use.  May sleep.

    Returns 0, or -EINVAL if p can use none of these CPUs.  As in v4.13, it also changes the mask of
    a thread that is bound for good; sched_setaffinity() refuses that.  And as in v4.13, a task that
    runs stays where it is if the CPU that was chosen for it goes down in this moment; a caller that
    needs the move holds cpus_read().
    """
    return __set_cpus_allowed_ptr(p, mask, False)


def sched_setaffinity(p: Task, mask: int) -> int:
    """set_cpus_allowed_ptr() for users: -EINVAL also if p is bound for good.  May sleep."""
    return __set_cpus_allowed_ptr(p, mask, True)


def __set_cpus_allowed_ptr(p: Task, mask: int, check: bool) -> int:
    """check: refuse a thread with PF_NO_SETAFFINITY.

    The flag is read under the locks, because __kthread_bind() sets it under pi_lock.
    """
    check_alive(p)
    rq, flags = task_rq_lock(p)
    usable = for_each_cpu(mask & usable_mask(p))
    if not usable or (check and p.flags.load() & PF_NO_SETAFFINITY):
        task_rq_unlock(rq, p, flags)
        return -EINVAL
    do_set_cpus_allowed(p, mask)
    if mask >> rq.cpu & 1 or not p.on_rq.load():
        task_rq_unlock(rq, p, flags)
    elif p.on_cpu.load():
        p.flags.fetch_or(PF_MIGRATING)      # for the audit: p may still run here
        task_rq_unlock(rq, p, flags)
        point("migrate:asked")
        wiring.forced_migration(p, usable[0])
        p.flags.fetch_and(~PF_MIGRATING)
    else:
        move_queued_task(rq, p, usable[0])
        p.pi_lock.unlock_irqrestore(flags)
    return 0
