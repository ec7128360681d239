"""exec: a task runs another function, on the CPU that has the least to do.

Linux: fs/exec.c (do_execve), which first calls the scheduler.  A task that execs does not need
what it has in the caches, so it is the cheapest task to move.  Not modelled: programs.

The task keeps its pid, its mask, its policy and the task or handle that waits for its
result.  Its thread cannot change its process, so the thread ends, and another begins
(fork.start_over()).

Locks: none.  Callers: users, as kemu.exec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from kemu import native
from kemu.errors import UsageError
from kemu.kernel.own.version import this_kernel
from kemu.kernel.sched.state import PF_KTHREAD
from kemu.memory import functions
from kemu.native import current


class Execs(BaseException):
    """Unwinds the function of a task that execs.  Carries the offset of the next function."""

    def __init__(self, function: int, arguments: int, comm: str) -> None:
        super().__init__(comm)
        self.function = function
        self.arguments = arguments
        self.comm = comm


def exec(function: Callable[..., Any], *args: Any, **kwargs: Any) -> NoReturn:
    """Replace what the current task runs by function(*args, **kwargs).  May sleep; does not return.

    The scheduler balances the task first, as in Linux's system call: the task may continue on
    another CPU of its mask.  The task's result is what the function returns.  Python unwinds the
    caller, so its ``finally`` blocks run, as with SystemExit.

    Only a task that run() or start() started can exec.  Raises UsageError in a kernel thread,
    with a spinlock held, with preemption or interrupts off, and for arguments that cannot be
    copied.
    """
    me = current()
    if me.flags.load() & PF_KTHREAD:
        raise UsageError(f"exec: {me} is a kernel thread, and has no program to replace")
    if me.preempt_count.load() or native.irqs_disabled():
        raise UsageError("exec: a lock is held, or preemption or interrupts are off")
    if not callable(function):
        raise UsageError(f"exec: {function!r:.80} is not callable")
    published, arguments = functions.publish(function), functions.post((args, kwargs))
    this_kernel().sched_exec()
    raise Execs(published, arguments, getattr(function, "__name__", type(function).__name__))
