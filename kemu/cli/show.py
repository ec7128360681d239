"""What a command shows: answers on standard output, progress on standard error.

Answers are plain text; a terminal also gets colours, unless NO_COLOR is set.  Progress is a live
line on a terminal.  In a pipe or a file it is a line every TELL_SECONDS, so that the log of a
long run shows how far it is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from kemu.trace.columns import MARK

TELL_SECONDS = 10.0
STYLES = {
    r"\bHIT$": "bold cyan",
    r"\bCLEAN$": "green",
    r"\bUNKNOWN$|^  \w+: unknown\b": "yellow",
    r"\bMISSED$|\bBROKEN$": "bold red",
    rf"{re.escape(MARK)}$": "bold red",
}
"""The colour of each word.  HIT is what a run looks for and no success, so it is not green."""


class Output(Console):
    """rich's console, but main() decides how a closed pipe ends a command."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this in its handler of BrokenPipeError


class Answers:
    """Where a command's answers go."""

    def __init__(self, json_to: str | None = None) -> None:
        """json_to: the file of ``--json``; standard output then belongs to it if it is ``-``."""
        self.console: Output = Output(stderr=json_to == "-")

    @property
    def width(self) -> int | None:
        """The width in characters; None if this is not a terminal, so that no line is wrapped."""
        return self.console.width if self.console.is_terminal else None

    def show(self, text: str = "") -> None:
        """Print text as it is: nothing is wrapped or cut, only words of STYLES are coloured."""
        styled = Text(text)
        for pattern, style in STYLES.items():
            styled.highlight_regex(re.compile(pattern, re.MULTILINE), style)
        self.console.print(styled, soft_wrap=True)


class Progress:
    """How far a run is."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.console: Output = Output(stderr=True)
        self.status: Status | None = None
        self.began: float = time.monotonic()
        self.shown: float = self.began

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.status = self.console.status(self.title)
            self.status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.status:
            self.status.stop()

    def say(self, text: str) -> None:
        """Show this now on a terminal, and elsewhere if the last line is old enough."""
        now = time.monotonic()
        line = Text(f"{self.title} {text}, {now - self.began:.0f} s")
        if self.status:
            self.status.update(line)
        elif now - self.shown >= TELL_SECONDS:
            self.shown = now
            self.console.print(line, soft_wrap=True)


def program() -> str:
    """How a shell finds the kemu that runs, from where the user stands."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_as_found(sys.executable)} -m kemu"
    return _as_found(sys.argv[0]) if called.name == "kemu" else "kemu"


def _as_found(path: str) -> str:
    """The bare name, if the shell's search finds this very file by it; otherwise the path."""
    name = os.path.basename(path)
    found = shutil.which(name)
    same = found is not None and os.path.abspath(found) == os.path.abspath(path)
    return name if same else shlex.quote(path)
