"""``kemu points``: where in the kernel a script can hold a task."""

from __future__ import annotations

import textwrap

import click

from kemu.cli.show import Answers
from kemu.errors import UsageError
from kemu.exits import Exit
from kemu.kernel.own.points import POINTS

NARROW = 30         # characters that a meaning needs beside the names


@click.command()
@click.argument("part", required=False)
def points(part: str | None) -> Exit:
    """List the points of the kernel, and what is so when a task passes each.

    A point is a place in the kernel's code where another CPU may come in between.  The script of a
    race can hold a task there (race.force), and --how jitter delays tasks there at random.  With
    PART, only the points that have PART in their names.
    """
    chosen = {name: said for name, said in POINTS.items() if part is None or part in name}
    if not chosen:
        raise UsageError(f"no point has {part!r} in its name: `kemu points` lists all of them")
    answers = Answers()
    answers.show(listing(chosen, answers.width))
    return Exit.EXPECTED


def listing(points: dict[str, str], width: int | None) -> str:
    """Names and meanings in two columns; the meaning below, if there is no room beside."""
    beside = max(map(len, points)) + 2
    if width is not None and width - beside < NARROW:
        return "\n".join(f"{name}\n{_fold(said, width, ' ' * 4)}" for name, said in points.items())
    return "\n".join(_fold(said, width, " " * beside, f"{name:<{beside}}")
                     for name, said in points.items())


def _fold(text: str, width: int | None, indent: str, first: str | None = None) -> str:
    first = indent if first is None else first
    if width is None:
        return first + text
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=indent,
                         break_long_words=False, break_on_hyphens=False)
