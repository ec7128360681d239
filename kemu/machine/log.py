"""The log of what machines do: silent until enable(), because kemu is a library.

loguru writes the lines, and it is imported by enable() only: its imports take longer than those
of all of kemu.

Locks: none.  Callers: helper_link, console, machine; cli (``kemu -v``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loguru import Logger

_logger: Logger | None = None


def enable() -> None:
    """Send the log to loguru, whose sinks the user chooses; standard error if there is no choice."""
    global _logger
    from loguru import logger

    _logger = logger.opt(depth=1)


def log(level: str, text: str, *arguments: object) -> None:
    """Log a line of loguru's level, with arguments for the braces in it."""
    if _logger is not None:
        _logger.log(level, text, *arguments)
