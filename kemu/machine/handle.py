"""A task that was started from outside: wait for it, and get its result.

Locks: none of its own.  Callers: machine makes a handle; users.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Generic, TypeVar

from kemu.errors import KernelPanic, MachineError, TaskTimeout, UsageError
from kemu.machine.arguments import check_seconds
from kemu.machine.stillness import Stillness

if TYPE_CHECKING:
    from kemu.machine.machine import Machine

T = TypeVar("T")

SLICE_SECONDS = 1.0         # a wait looks at signals and at the machine's memory that often


class Handle(Generic[T]):
    """A task that was started: wait for it, and get its result.

    A handle keeps its machine alive, but not running.
    """

    def __init__(self, future: Future[T], what: str, machine: Machine) -> None:
        self._future = future
        self._what = what
        self._machine = machine

    def __repr__(self) -> str:
        """What the task runs, on which CPU, and whether it still runs, has returned or has raised."""
        return f"<kemu.Handle: {self._what}, {self._standing()}>"

    def _standing(self) -> str:
        if not self._future.done():
            return "still runs"
        error = self._future.exception()
        return f"raised {type(error).__name__}" if error else "has returned"

    def done(self) -> bool:
        """Whether the result is there.  Any thread; does not wait."""
        return self._future.done()

    def _wait_until_done(self, limit: float | None, tells_hang: bool) -> bool:
        """Wait for at most that many seconds.  Returns whether the result is there.

        tells_hang: raises KernelHang if the result can never come (stillness.py).
        Raises UsageError where the result could never come.  That is in a fork, in the console
        callback, and in a signal's handler, or a __del__, that interrupts a wait of its own
        thread: the thread that brings results may need a lock that the interrupted wait holds.
        """
        me, waiting = threading.get_ident(), self._machine.waiting
        if self._future.done():
            return True
        self._machine.check_owner()
        if me in waiting:
            raise UsageError("this thread is waiting for a result of the machine already: a "
                             "signal's handler can start() tasks and close(), but not wait")
        hang_after = self._machine.hang_after if tells_hang else 0
        stillness = Stillness(self._machine, self._future, hang_after) if hang_after else None
        try:
            waiting[me] = self._future if limit is None and tells_hang else None
            return self._wait_in_slices(limit, stillness)
        finally:
            waiting.pop(me, None)

    def _wait_in_slices(self, limit: float | None, stillness: Stillness | None) -> bool:
        """Wait for a slice again and again, and look at the machine in between.

        Without the slices, a signal that arrives just before the thread blocks would wait for
        the end of the task, because Python runs a handler only between two instructions.
        """
        until = None if limit is None else time.monotonic() + limit
        a_slice = min(SLICE_SECONDS, stillness.look_after) if stillness else SLICE_SECONDS
        check_at = time.monotonic() + SLICE_SECONDS
        while True:
            left = a_slice if until is None else min(a_slice, until - time.monotonic())
            try:
                self._future.exception(max(left, 0))
                return True
            except FutureTimeout:
                if until is not None and time.monotonic() >= until:
                    return self._future.done()
            except concurrent.futures.CancelledError:
                return True
            if time.monotonic() >= check_at:
                self._machine.check_memory()
                check_at = time.monotonic() + SLICE_SECONDS
            if stillness and stillness.is_hopeless():
                raise stillness.hang(self._what)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result is there, for at most ``timeout`` seconds.  Returns whether it is.

        Raises no KernelHang: that is for result().
        """
        return self._wait_until_done(check_seconds("timeout", timeout), False)

    def result(self, timeout: float | None = None) -> T:
        """Wait for what the function returns.  Raises what the function raised.  The same each time.

        ``timeout`` is in seconds.  Raises TaskTimeout if the task has not ended by then; the task
        runs on.  Raises KernelPanic or MachineError if the machine stopped.

        Raises KernelHang if the result can never come, because every task is blocked and nothing is
        left that could wake one: see ``hang_after`` of :class:`kemu.Machine`.  The machine then
        goes on, and another task may still wake the one that is awaited.
        """
        if not self._wait_until_done(check_seconds("timeout", timeout), True):
            self._machine.check_memory()
            raise TaskTimeout(f"{self._what} has not returned after {timeout} s; it still runs.\n\n"
                              + self._machine.report(stacks=True))
        try:
            return self._future.result()
        except (KernelPanic, MachineError):
            self._machine.note_failure_reported()
            raise
