"""How a race's outcome is shown: a table, the first hit's diagram, the next command; and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import kemu
from kemu.machine.host import cpu_model
from kemu.harness.race import Race
from kemu.harness.runner import placement_of
from kemu.harness.verdict import Outcome, Side, Verdict

SCHEMA = 1
COLORS = {Verdict.HIT: "green", Verdict.CLEAN: "green", Verdict.UNKNOWN: "yellow",
          Verdict.MISSED: "red", Verdict.BROKEN: "red"}


class Show:
    """Where a command's answers and its progress go."""

    def __init__(self, answers: Console, progress: Console) -> None:
        self.answers = answers
        self.bar = progress

    @contextmanager
    def progress(self, race: Race, how: str) -> Iterator[Callable[[Side], None]]:
        """A line on a terminal that tells how far it is."""
        columns = (TextColumn("{task.description}"), BarColumn(pulse_style="cyan"),
                   TextColumn("{task.fields[counts]}"), TimeElapsedColumn())
        with Progress(*columns, console=self.bar, transient=True,
                      disable=not self.bar.is_terminal) as progress:
            line = progress.add_task(f"{race.name} {how}", total=None, counts="")

            def tell(side: Side) -> None:
                progress.update(line, description=f"{race.name} {how} {side.side}",
                                counts=f"{side.trials} trials, {side.hits} hits")
            yield tell

    def outcome(self, race: Race, outcome: Outcome, what: str = "") -> None:
        """The table, the diagram of the first hit, and the command that runs it again.

        what: how the race was named, if not by its name in the register.
        """
        title = f"{race.name} ({outcome.how})" + (f": {race.title}" if race.title else "")
        self.answers.print(title, style="italic", highlight=False, markup=False, soft_wrap=True)
        self.answers.print(_table(outcome))
        for side in outcome.sides.values():
            for doubt in side.doubts:
                self.answers.print(f"  {side.side}: unknown, since {doubt}", style="yellow",
                                   highlight=False, markup=False)
            if side.clean:
                self.answers.print(f"  after: {side.bound()}{outcome.told_apart()}", highlight=False,
                                   soft_wrap=True)
            if side.diagram:
                self.answers.print()
                self.answers.print(side.diagram, highlight=False, markup=False, soft_wrap=True)
                if side.where:
                    self.answers.print(side.where, highlight=False, markup=False, soft_wrap=True)
                self.answers.print(f"\n  again: kemu race {what or race.name} --side {side.side} "
                                   f"{outcome.options}",
                                   highlight=False, soft_wrap=True)
        self.answers.print()


def _table(outcome: Outcome) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("side", "trials", "met", "hits", "rate, 95 %", "seconds", "verdict"):
        table.add_column(name, justify="left" if name in ("side", "verdict") else "right")
    for side in outcome.sides.values():
        color = COLORS[side.verdict]
        table.add_row(side.side, f"{side.trials:,}", f"{side.overlaps:,}", f"{side.hits:,}",
                      f"{side.low:.1e} .. {side.high:.1e}", f"{side.seconds:.1f}",
                      f"[{color}]{side.verdict.value}[/{color}]")
    return table


def as_json(race: Race, outcome: Outcome, cpus: int | None) -> str:
    """One object: what ran, on what, and both sides."""
    said: dict[str, Any] = {
        "schema": SCHEMA, "race": race.name, "how": outcome.how, "seed": outcome.seed,
        "kemu": kemu.__version__, "code": race.code_hash(), "python": platform.python_version(),
        "kernel": platform.release(), "cpu_model": cpu_model(),
        "placement": placement_of(race, max(race.cpus, cpus or 0)),
        "sides": {name: side.as_json() for name, side in outcome.sides.items()},
    }
    return json.dumps(said)
