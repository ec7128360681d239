"""An outcome as plain text: a table, what it proves, the first hit's diagram, the next command.

The command line prints this text and adds colours to it; ``print(outcome)`` prints it as it is.
Sentences are wrapped at words if a width is given.  A line that is meant to be copied, and the
diagram, which has its own columns, are never wrapped.

Callers: verdict (``str(outcome)``), cli.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kemu.harness import interval
from kemu.harness.plan import HOWS

if TYPE_CHECKING:
    from kemu.harness.verdict import Outcome, Side

HEADS = ("side", "trials", "witnessed", "audited", "hits", "rate, 95 %", "seconds", "verdict")
TO_THE_LEFT = ("race", "side", "verdict")
GAP = "  "


def outcome_text(outcome: Outcome, width: int | None = None) -> str:
    """The whole outcome.  width: the terminal's width in characters; None: wrap no line."""
    title = f"{outcome.race} ({outcome.how})" + (f": {outcome.title}" if outcome.title else "")
    parts = [wrapped(title, width), table(list(outcome.sides.values()), width),
             wrapped(f"rate: hits among the witnessed trials, {interval.NAME}", width)]
    parts += [wrapped(remark, width, "  ") for side in outcome.sides.values()
              for remark in _remarks(outcome, side)]
    for side in outcome.sides.values():
        if side.diagram:
            parts += ["", side.diagram.rstrip()]
            parts += [side.where] if side.where else []
            parts += ["", "  run it again:", f"    {command_of(outcome, side)}"]
    return "\n".join(parts)


def command_of(outcome: Outcome, side: Side) -> str:
    """The command that runs one side again, as a shell takes it."""
    what = shlex.quote(outcome.what or outcome.race)
    return f"{outcome.program} race {what} --side {side.side} {outcome.options}".rstrip()


def wrapped(sentence: str, width: int | None, indent: str = "", hang: str = "  ") -> str:
    """A sentence, wrapped between its words if it is longer than the width.

    indent: before each line.  hang: before each line but the first.
    """
    if width is None:
        return indent + sentence
    return textwrap.fill(sentence, max(width, 20), initial_indent=indent, subsequent_indent=indent + hang,
                         break_long_words=False, break_on_hyphens=False)


def table(sides: list[Side], width: int | None = None) -> str:
    """A row for each side."""
    return _grid([HEADS, *map(_cells, sides)], width)


def summary(outcomes: list[Outcome], width: int | None = None) -> str:
    """One table of several races: a row for each side of each."""
    rows = [(outcome.race, *_cells(side)) for outcome in outcomes for side in outcome.sides.values()]
    return _grid([("race", *HEADS), *rows], width)


def _grid(rows: list[tuple[str, ...]], width: int | None) -> str:
    """Aligned columns; on a terminal that is too narrow for them, a line for each cell."""
    heads = rows[0]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None and sum(widths) + len(GAP) * (len(heads) - 1) > width:
        return "\n".join(_list(heads, row) for row in rows[1:])
    return "\n".join(
        GAP.join(cell.ljust(wide) if head in TO_THE_LEFT else cell.rjust(wide)
                 for head, cell, wide in zip(heads, row, widths, strict=True)).rstrip()
        for row in rows)


def _list(heads: tuple[str, ...], row: tuple[str, ...]) -> str:
    indent = max(map(len, heads)) + len(GAP)
    return "\n".join(f"{'' if not number else '  '}{head:<{indent}}{cell}"
                     for number, (head, cell) in enumerate(zip(heads, row, strict=True)))


def _cells(side: Side) -> tuple[str, ...]:
    return (side.side, f"{side.trials:,}", f"{side.witnessed:,}", f"{side.audits:,}", f"{side.hits:,}",
            f"{side.low:.1e} .. {side.high:.1e}", f"{side.seconds:.1f}", side.verdict.value)


def _remarks(outcome: Outcome, side: Side) -> Iterator[str]:
    """Why a side proves nothing, or what a clean one proves."""
    unknown = side.verdict.value == "UNKNOWN"
    for doubt in side.doubts:
        yield f"{side.side}: {'unknown, because' if unknown else 'but'} {doubt}"
    for note in side.notes:
        yield f"{side.side}: {note}"
    if side.machines > 1:
        yield f"{side.side}: {side.machines} machines ran side by side, {_shared(outcome, side)}"
    for witness, meaning in side.meanings.items():
        yield f"{side.side}: {witness}: {side.seen[witness]:,} of {side.trials:,} trials: {meaning}"
    if side.turns:
        yield (f"{side.side}: took turns: {side.turns:,} of {side.trials:,} trials: two tasks of one "
               f"process ran at once, and took turns at its interpreter; {_counted(side)}")
    if unknown or side.verdict.value == "MISSED":
        for hold in side.holds:
            yield f"{side.side}: {hold}"
    if side.clean:
        yield f"{side.side}: {side.bound()}{outcome.told_apart(side)}"


def _shared(outcome: Outcome, side: Side) -> str:
    """What the machines shared."""
    if outcome.how in HOWS:
        return f"with seeds from {outcome.seed} on"
    first = f"; schedule {side.schedules_to_hit:,} is the first that hits, with any number of machines" \
        if side.schedules_to_hit else ""
    return f"and shared the schedules of seed {outcome.seed}{first}"


def _counted(side: Side) -> str:
    if side.how == "forced":
        return "a forced trial counts all the same"
    return f"they count, because {side.turns_allowed}" if side.turns_allowed else "they do not count"
