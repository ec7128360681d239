"""A task that was started from outside: its result, when it is there."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

from kemu.errors import TaskTimeout

T = TypeVar("T")


class Handle(Generic[T]):
    """A task that was started: its result, when it is there."""

    def __init__(self, future: Future[T], what: str, report: Callable[[], str]) -> None:
        self._future = future
        self._what = what
        self._report = report

    def done(self) -> bool:
        """Whether the result is there."""
        return self._future.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result is there, for at most that many seconds; whether it is."""
        return bool(concurrent.futures.wait([self._future], timeout).done)

    def result(self, timeout: float | None = None) -> T:
        """What the function returned; what it raised is raised here.

        timeout is in seconds.  Raises TaskTimeout if it is over, and the task runs
        on; KernelPanic or MachineError if the machine stopped.
        """
        try:
            return self._future.result(timeout)
        except FutureTimeout:
            if self._future.done():
                raise
            raise TaskTimeout(f"{self._what} has not returned after {timeout} s; it still runs.\n\n"
                              + self._report()) from None
