"""printk: a line on the machine's console, labelled with CPU and task.

Linux: kernel/printk/printk.c.  Not modelled: levels, the log buffer.

The line goes to the process's main thread, which sends it to the controller;
the caller does not wait, in any context.  ``print`` in a task goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable

from kemu import native


def _nowhere(line: str) -> None:
    pass


_console: Callable[[str], None] = _nowhere


def register_console(write: Callable[[str], None]) -> None:
    """Who gets the lines: set once per CPU process, by the machine."""
    global _console
    _console = write


def printk(text: str) -> None:
    """Any context.  Does not sleep."""
    me = native.current()
    for line in text.splitlines() or [""]:
        _console(f"[cpu{me.cpu.load()} {me.comm}] {line}")
