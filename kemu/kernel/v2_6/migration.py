"""Requests to the migration threads, and the tasks that make them.

Linux: kernel/sched.c (2.6.6), with "sched-hotplug-cpu-sched_balance_exec-fix"
(2.6.6-rc2-mm1, 2004).  Not modelled: scheduling domains, and the requests that change them;
active balancing.

Only the CPU of a queued task can move it: the CPU's migration thread preempts the task.  A
task that wants it moved therefore leaves a request there and sleeps.

    queue        <- requests, the youngest first: under rq.lock.  The requester links one; the
                    migration thread, or at CPU_DEAD the hotplug task, unlinks it
    thread       <- the CPU's migration thread: set before the CPU can have a task, None
                    after its last task is gone, by the hotplug task
    req          <- in the requester's frame: unlinked, then done completed once, before the
                    frame ends

The requester holds no lock against hotplug.  The change names four races, and closes them:

* The test that dest is online and the move are one section with interrupts off.  A CPU goes
  offline only while every other CPU stands still (races 1 and 2).
* The requester looks up the thread that it must wake, and takes a reference to it, under
  the rq.lock under which it queued the request.  The CPU had the task and so was online
  (race 3).
* The hotplug task completes the requests that a dead CPU's thread left, without carrying
  them out, once the thread has ended and no task can add one (race 4, migration_call).

Locks: pi_lock, then rq.lock, the lower CPU's first (2.6.6 had rq.lock alone; the wake-ups
here are those of a later kernel, and need pi_lock).
Callers: audit, cpu, init, migration_call, races; users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from typing import Final

from kemu.errors import UsageError
from kemu.kernel.cpumask import check_cpu, cpu_online, for_each_cpu
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.sched.completion import Completion, wait_for_completion
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.kernel.sched.runqueue import (activate_task, check_preempt_curr, cpu_rq, deactivate_task,
                                        task_cpu, task_rq, task_rq_lock, task_rq_unlock, this_rq)
from kemu.kernel.sched.state import PF_MIGRATING
from kemu.kernel.sched.wakeup import idlest_cpu, set_task_cpu, wake_up_process
from kemu.memory.struct import Embedded, ListHead, PerCPU, Struct, TaskRef, Word
from kemu.memory.views import Cpu, Task, check_alive
from kemu.native import current, preempt_disable, preempt_enable, smp_processor_id

REQ_MOVE_TASK = 1


class MigrationReq(Struct):
    """migration_req_t."""

    next: Final = Word()
    prev: Final = Word()
    type: Final = Word()
    task: Final = TaskRef()
    dest_cpu: Final = Word()
    done: Final = Embedded(Completion)


class Migration(PerCPU, keep=True):
    """The fields of a runqueue that only this version has."""

    thread: Final = TaskRef()
    queue: Final = ListHead()


@contextmanager
def migration_req() -> Iterator[MigrationReq]:
    """A request in the caller's frame.  S80: when the frame ends, no queue has the request any more."""
    req = MigrationReq.alloc()
    yield req
    if req.next.load() not in (0, req.base):
        BUG("S80: the frame of a migration request ends, and the request is still queued")
    req.free()


def cpu_is_offline(cpu: int) -> bool:
    return not cpu_online(cpu)


def any_online_cpu(mask: int) -> int:
    """The first online CPU of a mask; -1 if there is none."""
    online = for_each_cpu(mask & system.header.online_mask.load())
    return online[0] if online else -1


def migrate_task(p: Task, dest_cpu: int, req: MigrationReq) -> bool:
    """Move a task that is on no runqueue; otherwise queue a request.  Caller holds p's locks.

    Returns whether the caller must wait for a request.
    """
    if not p.on_rq.load() and not p.on_cpu.load_acquire():
        set_task_cpu(p, dest_cpu)
        return False
    req.type.store(REQ_MOVE_TASK)
    req.task.set(p)
    req.dest_cpu.store(dest_cpu)
    Migration.on(task_cpu(p)).queue.add(req.base)
    return True


def wait_for_migration(rq: Cpu, p: Task, flags: int, req: MigrationReq) -> None:
    """Unlock p, wake the migration thread of its CPU, wait until the request is done.  May sleep.

    The thread may have exited by the time of the wake-up.  The reference keeps its task, and to
    wake a dead task does nothing.
    """
    mt = Migration.on(rq.cpu).thread.get()
    get_task_struct(mt)
    task_rq_unlock(rq, p, flags)
    point("migrate:queued")
    wake_up_process(mt)
    put_task_struct(mt)
    wait_for_completion(req.done)


def sched_migrate_task(p: Task, dest_cpu: int) -> None:
    """Move a task to a CPU if it may go there, and if the CPU stays online.  May sleep.

    Raises UsageError for a CPU that does not exist.
    """
    check_alive(p)
    check_cpu(dest_cpu)
    with migration_req() as req:
        rq, flags = task_rq_lock(p)
        allowed = p.cpus_allowed.load() >> dest_cpu & 1
        if allowed and not cpu_is_offline(dest_cpu) and migrate_task(p, dest_cpu, req):
            wait_for_migration(rq, p, flags, req)
        else:
            task_rq_unlock(rq, p, flags)


def sched_balance_exec() -> None:
    """Move the current task, which is about to exec, to a CPU that has less to do.

    Preemption is on again before the request is queued.  So the chosen CPU, and this CPU, may go
    down at any time.  May sleep.
    """
    preempt_disable()
    here = smp_processor_id()
    new_cpu = idlest_cpu(current())
    preempt_enable()
    point("exec:chosen")
    if new_cpu != here:
        sched_migrate_task(current(), new_cpu)


def set_cpus_allowed(p: Task, new_mask: int) -> int:
    """Let p run on these CPUs only, and move p there.  May sleep.

    Returns 0, or -EINVAL if none of these CPUs is online.  In 2.6.6 its caller had to hold the
    hotplug lock; here it takes the reference that the change of 2004 takes.
    """
    check_alive(p)
    if not isinstance(new_mask, int):
        raise UsageError(f"the mask is {new_mask!r:.80}: give an int with a bit for each CPU")
    with migration_req() as req:
        rq, flags = task_rq_lock(p)
        dest_cpu = any_online_cpu(new_mask)
        if dest_cpu >= 0:
            do_set_cpus_allowed(p, new_mask)
        if dest_cpu >= 0 and not new_mask >> task_cpu(p) & 1 and migrate_task(p, dest_cpu, req):
            p.flags.fetch_or(PF_MIGRATING)      # for the audit: p may still run here
            wait_for_migration(rq, p, flags, req)
            p.flags.fetch_and(~PF_MIGRATING)
        else:
            task_rq_unlock(rq, p, flags)
    return 0 if dest_cpu >= 0 else -EINVAL


def double_rq_lock(rq1: Cpu, rq2: Cpu) -> None:
    """Lock both runqueues, the lower CPU's first.  Interrupts are off."""
    first, second = (rq1, rq2) if rq1.cpu <= rq2.cpu else (rq2, rq1)
    first.lock.lock()
    if second is not first:
        second.lock.lock()


def double_rq_unlock(rq1: Cpu, rq2: Cpu) -> None:
    """Pairs with double_rq_lock()."""
    rq1.lock.unlock()
    if rq2 is not rq1:
        rq2.lock.unlock()


def move_from_here(p: Task, dest_cpu: int) -> None:
    """Give a task of this CPU that does not run to another CPU.  Interrupts are off."""
    rq, rq_dest = this_rq(), cpu_rq(dest_cpu)
    p.pi_lock.lock()
    double_rq_lock(rq, rq_dest)
    if task_rq(p) is rq:        # otherwise it has moved meanwhile
        queued = p.on_rq.load()
        if queued:
            deactivate_task(rq, p)
        set_task_cpu(p, dest_cpu)
        if queued:
            activate_task(rq_dest, p)
            check_preempt_curr(rq_dest, p)
    double_rq_unlock(rq, rq_dest)
    p.pi_lock.unlock()


def __migrate_task(p: Task, dest_cpu: int) -> None:
    """Move a task off this CPU, if dest is online.  Interrupts are off.

    dest stays online until interrupts are on again: it cannot go down without this CPU.
    """
    if not cpu_is_offline(dest_cpu):
        move_from_here(p, dest_cpu)
