"""How a command ends: each error with its message and its exit status.

A reader that has gone (``kemu races | head -1``) ends a command quietly.  A standard stream
that the caller has closed (``>&-``) is replaced by /dev/null, so that every command can print.

Callers: main() in cli.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from kemu.errors import KemuError, UsageError
from kemu.exits import Exit


def run(command: Callable[[], Any]) -> None:
    """Run a command and end the process with the status that the command returns."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))    # noqa: SIM115
    try:
        status = command() or Exit.EXPECTED
    except BrokenPipeError:
        status = Exit.PIPE_CLOSED
    except (Exception, KeyboardInterrupt) as error:
        status = _explain(error)
    sys.exit(_flush(status))


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """In this block Ctrl-C waits: in an import, Python may turn it into another error, or drop it.

    A handler notes the signal.  To block the signal would not do: another thread would take it, and
    Python would then run its own handler in this one.  Main thread.
    """
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def _is_ctrl_c(error: BaseException | None) -> bool:
    """Whether Ctrl-C is the error, or what Python names as its cause."""
    while error is not None and not isinstance(error, click.Abort | KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _explain(error: BaseException) -> int:
    """Write to standard error what went wrong; the exit status for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return Exit.MISUSE
    message, status = "this is a bug of kemu; please report it with the lines above", Exit.INTERNAL
    if _is_ctrl_c(error):
        message, status = "interrupted", Exit.INTERRUPTED
    elif isinstance(error, UsageError | OSError):
        message, status = str(error), Exit.MISUSE
    elif isinstance(error, KemuError):
        message = f"{type(error).__name__}: {error}"
    else:
        traceback.print_exception(error)
    click.echo(f"kemu: {message}", err=True)
    return status


def _flush(status: int) -> int:
    """Write what standard output still holds; the exit status.

    If that fails, standard output becomes /dev/null, because otherwise Python would flush it once
    more when it exits, and complain.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return Exit.PIPE_CLOSED
        click.echo(f"kemu: standard output cannot be written: {error.strerror}", err=True)
        return status or Exit.MISUSE
    return status
