"""A task that was started from outside: its result, when it is there."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Generic, TypeVar

from kemu.errors import KernelPanic, MachineError, TaskTimeout, UsageError
from kemu.machine.arguments import check_seconds

if TYPE_CHECKING:
    from kemu.machine.machine import Machine

R = TypeVar("R")
T = TypeVar("T")


class Handle(Generic[T]):
    """A task that was started: its result, when it is there."""

    def __init__(self, future: Future[T], what: str, machine: Machine) -> None:
        self._future = future
        self._what = what
        self._machine = machine

    def done(self) -> bool:
        """Whether the result is there."""
        return self._future.done()

    def _wait(self, wait: Callable[[], R]) -> R:
        """Raises UsageError where the result could never come.

        That is in a fork, in the console callback, and in a signal's handler, or a __del__, that
        interrupts a wait of its own thread: who brings results may need what that wait holds.
        """
        me, waiting = threading.get_ident(), self._machine.waiting
        if self._future.done():
            return wait()
        self._machine.check_owner()
        if me in waiting:
            raise UsageError("this thread is waiting for a result of the machine already: a "
                             "signal's handler can start() tasks and close(), but not wait")
        try:
            waiting.add(me)
            return wait()
        finally:
            waiting.discard(me)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result is there, for at most that many seconds; whether it is."""
        limit = check_seconds("timeout", timeout)
        return bool(self._wait(lambda: concurrent.futures.wait([self._future], limit)).done)

    def result(self, timeout: float | None = None) -> T:
        """What the function returned; what it raised is raised here.  The same each time.

        timeout is in seconds.  Raises TaskTimeout if it is over, and the task runs
        on; KernelPanic or MachineError if the machine stopped.
        """
        limit = check_seconds("timeout", timeout)
        try:
            return self._wait(lambda: self._future.result(limit))
        except (KernelPanic, MachineError):
            self._machine.note_failure_reported()
            raise
        except FutureTimeout:
            if self._future.done():     # it came just now, or is a TimeoutError of the task's own
                return self._future.result()
            raise TaskTimeout(f"{self._what} has not returned after {timeout} s; it still runs.\n\n"
                              + self._machine.report(stacks=True)) from None
