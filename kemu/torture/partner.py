"""The thread that the workloads park, bind and stop: it does nothing else.

kemu's own; the loop is that of the threads in the head of kernel/kthread.c.
Locks: none.  Callers: promises, workloads.
"""

from __future__ import annotations

from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import Completion, complete


def partner(done: Completion | None) -> int:
    """Park when another task asks for it, and sleep otherwise.

    ``done``: completed when the thread begins, and each time that it is back from parking.
    """
    if done is not None:
        complete(done)
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
            if done is not None:
                complete(done)
            continue
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not (kthread.kthread_should_park() or kthread.kthread_should_stop()):
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)
    return 0
