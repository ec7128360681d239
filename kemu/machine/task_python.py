"""What a task finds in Python: labelled output, no terminal, no garbage collector, safe forks.

Linux: none.

Locks: none.  Callers: processor, once per CPU process.
"""

from __future__ import annotations

import _thread
import builtins
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from kemu import native
from kemu.errors import UsageError
from kemu.kernel import printk
from kemu.kernel.own import wiring

# A task that polls holds its process's interpreter lock.  A task of the same home that runs on
# another CPU must not wait for it much longer than a CPU waits for another.
GIL_SECONDS = 200e-6


class Console(io.TextIOBase):
    """sys.stdout of a CPU process: whole lines, labelled with CPU and task."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self) -> None:
        self.partial: dict[int, str] = {}

    def write(self, text: str) -> int:
        thread = _thread.get_ident()
        text = text.encode(self.encoding, self.errors).decode()     # it will be printed elsewhere
        *lines, rest = (self.partial.pop(thread, "") + text).split("\n")
        for line in lines:
            printk.printk(line)
        if rest:
            self.partial[thread] = rest
        return len(text)

    def flush(self) -> None:
        rest = self.partial.pop(_thread.get_ident(), "")
        if rest:
            printk.printk(rest)

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def _no_terminal(*args: object, **kwargs: object) -> Any:
    raise UsageError("a task has no terminal: breakpoint() and input() work in your own process "
                     "only.  print() does arrive; m.report() shows where every task is")


_forking = 0    # the process that forks, which the copy compares with its parent


def _before_a_fork() -> None:
    global _forking
    _forking = os.getpid()


def _in_a_fork() -> None:
    """A task has forked.  The copy is not a task, so that no task runs twice.

    The copy may call everything but kernel functions (NoTask).  If it leaves the
    task's function, it ends (_oops).  It does not outlive the thread that forked it:
    the kernel kills it with that thread, and if the CPU died before the copy could
    ask for this, the copy has another parent by now and ends here.
    """
    native.leave()
    native.die_with_parent()
    if os.getppid() != _forking:
        os._exit(1)


def set_up(console: Console, send_line: Callable[[str], None]) -> None:
    """Prepare this process's Python for tasks.  send_line sends a printed line to the controller."""
    sys.stdout = sys.stderr = console
    sys.breakpointhook = _no_terminal
    builtins.input = _no_terminal
    wiring.console.bind(send_line)
    sys.setswitchinterval(GIL_SECONDS)
    gc.disable()
    gc.freeze()
    os.register_at_fork(before=_before_a_fork, after_in_child=_in_a_fork)
