"""What can go wrong, in three families, and what to do about each.

* :class:`UsageError`: the call was wrong, and nothing has changed.  Correct the call.
* :class:`MachineError`: the machine under the kernel failed, for example because a CPU's process
  was killed.  The message says which part failed.  Boot another machine.
* :class:`KernelPanic`: the emulated kernel failed, by a BUG, a WARN, an oops, a hang or a lockup.
  This is what kemu looks for.  Read the report.

When a machine has stopped, every operation in its tasks raises :class:`MachineStopped`.  It is not
an :class:`Exception`, so that no ``except Exception`` of a task keeps the task from ending.

Open to every storey; imports nothing of kemu.
"""

from __future__ import annotations


class KemuError(Exception):
    """The base class of every error that kemu raises in the caller."""


class UsageError(KemuError, ValueError):
    """An argument is wrong, or the call comes at the wrong time or place.  Nothing has changed."""


class NoTask(UsageError):
    """The operation needs a task, but the calling thread is not one.  Use ``machine.run``."""


class AtomicHold(UsageError):
    """A script holds a task at a point that the task reaches with a spinlock held."""


class OutOfMemory(KemuError, MemoryError):
    """No task slot, symbol or shared memory is left.  Boot a machine with more, or free some."""


class TaskTimeout(KemuError, TimeoutError):
    """The task did not end in time, and still runs.  The message says where it waits."""


class MachineError(KemuError):
    """The machine under the kernel failed: a CPU's process died or did not boot, or it is closed."""


class UnboundHook(KemuError):
    """kemu called a hook that nothing is bound to.  This is a failure of kemu's own: report it."""


class RemoteError(KemuError):
    """A task raised an exception that cannot be pickled.  The message has its traceback."""


class KernelPanic(KemuError):
    """The emulated kernel stopped.

    ``text`` is the message as the kernel words it.  ``cpu`` is the CPU's number, or -1 if no CPU
    is to blame, and ``task`` the task's name.  ``traceback`` is the task's Python stack, ``trace``
    the last events of every CPU, oldest first, and ``console`` what was printed: each is text.
    ``report`` is all of it.
    """

    def __init__(self, text: str, *, cpu: int = -1, task: str = "", traceback: str = "",
                 trace: str = "", report: str = "", console: str = "") -> None:
        super().__init__(report or text)
        self.text: str = text
        self.cpu: int = cpu
        self.task: str = task
        self.traceback: str = traceback
        self.trace: str = trace
        self.report: str = report or text
        self.console: str = console


class KernelBug(KernelPanic):
    """BUG(): an invariant of the kernel is broken."""


class KernelWarning(KernelPanic):
    """WARN(): the kernel noticed something that should not be (see ``Machine(warn=)``)."""


class TaskOops(KernelPanic):
    """An exception left a kernel thread, or left a task that held a lock."""


class KernelHang(KernelPanic):
    """Tasks wait for each other, or a CPU is stuck: nothing will ever happen again.

    If a wait for a result found this (see ``hang_after`` of :class:`kemu.Machine`), the machine has
    not stopped: it can still be looked at, and take another task.
    """


class MachineStopped(BaseException):
    """The machine of this task has stopped.  Do not catch it: the task must end."""


def shown(value: object) -> str:
    """A value as an error message shows it, in at most 60 characters, even if its repr() raises."""
    try:
        return f"{value!r:.60}"
    except Exception as error:
        return f"a {type(value).__name__} whose repr() raises {type(error).__name__}"


def text_of(error: BaseException) -> str:
    """What an exception says, even if its str() raises."""
    try:
        return str(error)
    except BaseException:
        return "(its str() raises)"


def refuse(name: str, value: object, expected: str) -> UsageError:
    """The error for an argument that is not accepted.  The caller raises it.

    expected: what would be accepted, as a noun with its article: "a number of CPUs, 1 to 62".
    """
    return UsageError(f"{name}={shown(value)} is not accepted: expected {expected}")
