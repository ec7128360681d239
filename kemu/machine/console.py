"""The user's console callback: it gets each line that tasks print.

It runs in the thread that reads the CPUs' messages.  While it runs, that thread takes no
results, so the wait of a callback for a result would never end.  is_in_callback() lets the
machine's calls refuse that.

Locks: none; one thread prints.  Callers: inbox.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from kemu.machine.log import log


class ConsoleCallback:
    """The callback, and the thread that is inside it."""

    def __init__(self, callback: Callable[[str], Any]) -> None:
        self._callback = callback
        self._thread_inside = 0
        self._has_failed = False

    def is_in_callback(self) -> bool:
        """Whether the calling thread is inside the callback."""
        return self._thread_inside == threading.get_ident()

    def print(self, line: str) -> None:
        """Call the callback.  What it raises is the user's bug: it is shown once, as a thread's is."""
        self._thread_inside = threading.get_ident()
        try:
            self._callback(line)
        except BaseException as error:
            log("ERROR", "the console callback raised {!r}", error)
            if not self._has_failed:
                self._has_failed = True
                threading.excepthook(threading.ExceptHookArgs(
                    (*sys.exc_info(), threading.current_thread())))
        finally:
            self._thread_inside = 0
