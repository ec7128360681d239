"""The options that several commands share, and the files that they name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kemu import native
from kemu.machine.arguments import MAX_SECONDS

F = TypeVar("F", bound=Callable[..., Any])

STANDARD_OUTPUT = "-"


class Seconds(click.FloatRange):
    """A time to run: more than 0, and a number that a clock can count to."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(0, MAX_SECONDS, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):         # click's range compares, and every comparison is false
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds

    def _describe_range(self) -> str:
        return "more than 0"


def seconds(default: float | None, text: str) -> Callable[[F], F]:
    """``--seconds``, with this default and help."""
    return click.option("--seconds", type=Seconds(), default=default, metavar="SECONDS",
                        show_default=default is not None, help=text)


def cpus(least: int, default: int | None, text: str) -> Callable[[F], F]:
    """``--cpus``: at least so many, and as many as a machine can have."""
    return click.option("--cpus", type=click.IntRange(least, native.MAX_CPUS), default=default,
                        metavar="N", show_default=default is not None, help=text)


def seed(text: str) -> Callable[[F], F]:
    """``--seed``, which is 1 if it is not given, so that every run can be run again."""
    return click.option("--seed", type=int, default=1, metavar="N", show_default=True,
                        help=f"{text}  The same seed draws the same numbers; the cores still run "
                        "at their own speed, so the interleaving may differ.")


def json_file(text: str) -> Callable[[F], F]:
    """``--json FILE``: ``-`` is standard output, which then gets nothing but JSON."""
    return click.option("--json", "json_to", metavar="FILE", help=f"{text}  - is standard output.")


def begin_files(*paths: str | Path | None) -> None:
    """Empty each file that will be written, so that one that cannot be written ends the command
    before it runs anything."""
    for path in paths:
        if path and str(path) != STANDARD_OUTPUT:
            Path(path).write_text("")


def append_line(path: str, line: str) -> None:
    """Add a line to a file of begin_files(), or to standard output."""
    if path == STANDARD_OUTPUT:
        click.echo(line)
        return
    with Path(path).open("a") as file:
        file.write(line + "\n")
