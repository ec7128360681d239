"""A task that was started from outside: its result, when it is there."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Generic, TypeVar

from kemu.errors import TaskTimeout
from kemu.machine.arguments import check_seconds

if TYPE_CHECKING:
    from kemu.machine.machine import Machine

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

    def _may_wait(self) -> None:
        """Raises UsageError where the result could never come: a fork, the console callback."""
        if not self._future.done():
            self._machine.check_owner()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result is there, for at most that many seconds; whether it is."""
        limit = check_seconds("timeout", timeout)
        self._may_wait()
        return bool(concurrent.futures.wait([self._future], limit).done)

    def result(self, timeout: float | None = None) -> T:
        """What the function returned; what it raised is raised here.  The same each time.

        timeout is in seconds.  Raises TaskTimeout if it is over, and the task runs
        on; KernelPanic or MachineError if the machine stopped.
        """
        limit = check_seconds("timeout", timeout)
        self._may_wait()
        try:
            return self._future.result(limit)
        except FutureTimeout:
            if self._future.done():
                raise
            raise TaskTimeout(f"{self._what} has not returned after {timeout} s; it still runs.\n\n"
                              + self._machine.report()) from None
