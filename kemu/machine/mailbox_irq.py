"""The CPU's side of requests: the mailbox interrupt, and the mailbox of a CPU that went offline.

The interrupt makes a task of each request.  It does not load the function or its arguments:
that is Python code of the user's, and the task runs it (user_task).

Linux: none; the mailbox is a device of kemu's own.

Locks: none.  Callers: processor, which registers both functions.
"""

from __future__ import annotations

import pickle

from kemu.errors import OutOfMemory
from kemu.kernel.fork import copy_process
from kemu.kernel.sched.runqueue import runqueues, this_rq
from kemu.kernel.sched.wakeup import wake_up_new_task
from kemu.machine.request import Request, drop, take_all, went_offline
from kemu.machine.user_task import send, user_task


def open_mailbox() -> None:
    """The mailbox interrupt: start a task for each request, oldest first.  Interrupts are off."""
    rq = this_rq()
    for request in take_all(rq):
        try:
            p = copy_process(user_task, request.base, "", home=rq.cpu, allowed=1 << rq.cpu)
        except OutOfMemory as error:        # for the caller, not for the task that was interrupted
            _refuse(request, error)
            continue
        p.comm0.store(request.comm0.load())
        p.comm1.store(request.comm1.load())
        wake_up_new_task(p)


def close_mailbox(cpu: int) -> None:
    """Refuse the requests that came after the CPU went offline.  In its idle task, interrupts off."""
    rq = runqueues[cpu]
    for request in take_all(rq):
        _refuse(request, went_offline(rq))


def _refuse(request: Request, error: Exception) -> None:
    send(("result", drop(request), False, pickle.dumps((error, ""))))
