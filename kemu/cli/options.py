"""The options that several commands share, and the files that they name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kemu import native
from kemu.explore.run import MAX_DEPTH
from kemu.harness.race import MAX_PREEMPTIONS, MEMORY
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


OF_A_SEARCH = ("schedules", "depth", "preemptions", "reduce", "memory")


def search(command: F) -> F:
    """The options of a search: how far it goes, and where the schedule of a hit is kept."""
    for option in reversed((
            click.option("--schedules", type=click.IntRange(1), metavar="N",
                         help="Hold at most so many schedules of each side, in a search."),
            click.option("--depth", type=click.IntRange(1, MAX_DEPTH), metavar="N",
                         help="Of the bugs that pct looks for.  [default: 3]"),
            click.option("--preemptions", type=click.IntRange(0, MAX_PREEMPTIONS), metavar="N",
                         help="At most so many in a schedule of exhaustive.  [default: what the race "
                         "needs, usually 2]"),
            click.option("--no-reduce", "reduce", flag_value=False, default=None, type=bool,
                         help="Let exhaustive also hold the schedules that differ from another only in "
                         "the order of independent steps."),
            click.option("--memory", type=click.Choice(list(MEMORY)),
                         help="When a CPU sees what another stores, in a search.  sc: at once.  tso: as "
                         "on x86.  weak: as on ARM64.  [default: what the race needs, usually sc]"),
            click.option("--save", "save_to", type=click.Path(dir_okay=False, path_type=Path),
                         metavar="FILE", help="Write the schedule of the first hit of a search."),
            script)):
        command = option(command)
    return command


def script(command: F) -> F:
    """``--script FILE``: a schedule as a race file that forces it on real cores."""
    return click.option("--script", "script_to", metavar="FILE",
                        type=click.Path(dir_okay=False, path_type=Path),
                        help="Write a schedule that hits as a race file that holds tasks before "
                        "operations, and run it so, with all CPUs at once.")(command)


def begin_files(*paths: str | Path | None) -> None:
    """Empty each file that will be written, so that a file which cannot be written ends the command
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
