"""What must hold at every moment of the kernel threads that other tasks stop (S31).

kemu's own.  A task in kthread_stop() unparks the thread, wakes it, and only then sleeps on the
thread's completion `exited`.  No other task may park the thread meanwhile.  So while the stopper
sleeps, the thread does not sleep in TASK_PARKED: otherwise no task would ever wake either of them
(exhibit stop-of-parked).

    task.blocked_on  <- the completion that the task is about to sleep on: by the task (completion.c)
    task.state, on_rq of both tasks: read with every rq.lock held, so that neither is switched

Locks: all rq.locks.  Callers: machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu.kernel.kthread import KThread
from kemu.kernel.own.system import system
from kemu.kernel.sched.audit import scheduler_stopped
from kemu.kernel.sched.state import TASK_PARKED, TASK_UNINTERRUPTIBLE
from kemu.memory.views import Task

EXITED = KThread.fields["exited"][0]


def _sleeps(p: Task, state: int) -> bool:
    """Whether p is off every runqueue in that state.  Caller holds every rq.lock."""
    return p.state.load() == state and not p.on_rq.load() and not p.on_cpu.load()


def _parked_threads() -> Iterator[tuple[int, Task]]:
    """Each kernel thread that sleeps in TASK_PARKED, with the place of its completion `exited`."""
    for p in system.tasks.used():
        if p.kthread.load() and _sleeps(p, TASK_PARKED):
            yield p.kthread.load() + EXITED, p


def audit_kthreads() -> list[str]:
    """Every violation of S31, in words; empty if there is none.  Must not hold an rq.lock."""
    with scheduler_stopped():
        parked = dict(_parked_threads())
        return [f"S31: {p} sleeps until {parked[p.blocked_on.load()]} has ended, which sleeps in "
                "TASK_PARKED" for p in system.tasks.used()
                if p.blocked_on.load() in parked and _sleeps(p, TASK_UNINTERRUPTIBLE)]
