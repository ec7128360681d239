"""What can go wrong, in three families, and what to do about each.

* :class:`UsageError`: the call was wrong; nothing has changed.  Mend the call.
* :class:`MachineError`: the machine under the kernel failed, for example a CPU
  process was killed.  Boot another; the message says which part died.
* :class:`KernelPanic`: the emulated kernel failed, by a BUG, a WARN, an oops, a
  hang or a lockup.  This is what kemu is for: read the report.

Inside a task of a machine that has stopped, every operation raises
:class:`MachineStopped`, which is no :class:`Exception`, so that no handler of
the task keeps it from ending.

Open to every storey; imports nothing of kemu.
"""

from __future__ import annotations


class KemuError(Exception):
    """The root of everything kemu raises at a caller."""


class UsageError(KemuError, ValueError):
    """A wrong argument, or a right one at the wrong time or place.  Nothing was changed."""


class NoTask(UsageError):
    """The operation needs a task, and the calling thread is none: use ``machine.run``."""


class AtomicHold(UsageError):
    """A script holds a task at a point that it reaches with a spinlock held."""


class OutOfMemory(KemuError, MemoryError):
    """No task slot, symbol or shared memory is left: boot with more, or free some."""


class TaskTimeout(KemuError, TimeoutError):
    """The task did not end in time.  It still runs; the message tells where it waits."""


class MachineError(KemuError):
    """The machine failed under the kernel: a CPU process died, or did not boot."""


class UnboundHook(KemuError):
    """kemu called a hook that nothing is bound to: a failure of kemu's own.  Report it."""


class RemoteError(KemuError):
    """A task raised what cannot be pickled; its traceback is in the message."""


class KernelPanic(KemuError):
    """The emulated kernel stopped.

    ``text`` is the message as the kernel words it, ``cpu`` and ``task`` say where,
    ``traceback`` is the task's Python stack, ``trace`` the last events of every
    CPU, oldest first, as text, and ``report`` all of it.
    """

    def __init__(self, text: str, *, cpu: int = -1, task: str = "", traceback: str = "",
                 trace: str = "", report: str = "", console: str = "") -> None:
        super().__init__(report or text)
        self.text = text
        self.cpu = cpu
        self.task = task
        self.traceback = traceback
        self.trace = trace
        self.report = report or text
        self.console = console


class KernelBug(KernelPanic):
    """BUG(): an invariant of the kernel is broken."""


class KernelWarning(KernelPanic):
    """WARN(): the kernel noticed something that should not be (see ``Machine(warn=)``)."""


class TaskOops(KernelPanic):
    """An exception left a kernel thread, or left a task that held a lock."""


class KernelHang(KernelPanic):
    """Tasks wait for each other, or a CPU is stuck: nothing will ever happen again."""


class MachineStopped(BaseException):
    """Raised in every task once its machine has stopped.  Let it pass."""


def shown(value: object) -> str:
    """A value as an error shows it, whatever its repr() does."""
    try:
        return f"{value!r:.60}"
    except Exception as error:
        return f"a {type(value).__name__} whose repr() raises {type(error).__name__}"


def text_of(error: BaseException) -> str:
    """What an exception says, whatever its str() does."""
    try:
        return str(error)
    except BaseException:
        return "(its str() raises)"


def refuse(name: str, value: object, accepted: str) -> UsageError:
    """The error for an argument that is not accepted; to be raised."""
    return UsageError(f"{name}={shown(value)}: {accepted}")
