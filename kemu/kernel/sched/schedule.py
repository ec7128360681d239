"""schedule(), which gives the CPU to the next task, and the idle loop (do_idle).

Linux: kernel/sched/core.c (__schedule, finish_task_switch, schedule_debug) and idle.c
(do_idle).  Not modelled: address spaces.

The C half, schedule.c, does the switch, because every path goes through it and no exhibit
replaces it.  Its result names what the hardware cannot do: free a task that died, end a thread
that is not a task any more, stop the machine for a broken invariant.

Idling in place: when a task blocks and nothing else can run, the task's own thread runs as
swapper, and swapper's thread sleeps on.  All other CPUs see that swapper runs.  If the task's
turn comes on this CPU, no thread has to be switched.  If it comes on another CPU, swapper's own
thread takes the duty over.

Locks: rq.lock.  Callers: completion, timer, wait, fork, kthread, smpboot, hotplug, v2_6,
machine; users.
"""

from __future__ import annotations

from typing import NoReturn, cast

from kemu import native
from kemu.kernel.own import wiring
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.sched.bug import broken
from kemu.kernel.sched.runqueue import put_behind, this_rq
from kemu.memory.views import Task
from kemu.native import current, preempt_count, preempt_disable, smp_processor_id


class ThreadEnds(BaseException):
    """Unwinds an OS thread that is not a task any more: the task died, or has a new home."""


def schedule_debug(prev: Task) -> NoReturn:
    """S12: schedule() is entered with its own preempt_count and no other."""
    BUG("BUG: scheduling while atomic: "
        f"{prev.comm}/{prev.pid.load()}/{preempt_count():#010x}", depth=3)


def after_switch(status: int) -> None:
    """Do what the C half cannot.  status: the result of native.schedule(), which is not 0."""
    if status > 0:
        wiring.dead_task(cast(Task, system.tasks.get(status)))
    elif status == native.ENDS:
        raise ThreadEnds
    elif status == native.BUG_ATOMIC:
        schedule_debug(current())
    else:
        broken(status, this_rq(), current())


def __schedule() -> None:
    """Switch to the most urgent task.  The caller has disabled preemption once.

    A task that is not RUNNING leaves its runqueue, unless it is being preempted:
    "preempted" is not "sleeping" (S15).
    """
    status = native.schedule_once()
    if status:
        after_switch(status)


def finish_task_switch(last: int) -> None:
    """Finish the switch to a new task: the task before it is off the CPU.  last: from wait_turn()."""
    status = native.finish_switch(last)
    if status:
        after_switch(status)


def do_idle() -> None:
    """One round of swapper's own loop."""
    cpu = smp_processor_id()
    if not system.header.online_mask.test_bit(cpu):
        wiring.offline_idle(cpu)
    native.idle()
    while native.need_resched():
        __schedule()


def schedule() -> None:
    """Sleep if the task's state says so; otherwise let other tasks run.  May sleep."""
    status = native.schedule(False)
    if status:
        after_switch(status)


def preempt_schedule() -> None:
    """Switch away from a task that could continue.  The hardware calls it when a reschedule is due."""
    status = native.schedule(True)
    if status:
        after_switch(status)


def cond_resched() -> bool:
    """Take interrupts, and switch if another task should run.  Returns whether one should.  May sleep."""
    due = native.need_resched()
    preempt_disable()
    native.preempt_enable()     # here the hardware takes what is due
    return due


def yield_() -> None:
    """Let equals run first (Linux: yield).  May sleep."""
    rq = this_rq()
    rq.lock.lock_irq()
    put_behind(rq, current())
    rq.lock.unlock_irq()
    schedule()
