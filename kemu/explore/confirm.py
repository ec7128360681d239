"""Confirm a schedule: write it as a script, and run that with all CPUs at once.

What the chooser found, one CPU at a time, is so shown to happen on real cores.  The script is a
race file of its own: the race, with race.force() lines that hold tasks before operations (holds).
`kemu race FILE --how forced` runs it.

Two scripts are tried: one that holds a task only where the schedule stops a CPU that could have gone
on, and one that also holds a task until its turn comes after a wait.  Lines are then left out for as
long as a few trials still all hit.

Locks: none.  Callers: cli/confirm.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kemu import native
from kemu.explore.draw import drawing
from kemu.explore.holds import CannotHold, ForceLine, Script
from kemu.explore.record import Record
from kemu.explore.schedule import Schedule
from kemu.harness.plan import Plan
from kemu.harness.race import Race
from kemu.harness.runner import run_race
from kemu.harness.verdict import Side, Verdict
from kemu.races import EXHIBITS

PILOT = 3           # trials that say whether a script does it
TRIALS = 20         # that confirm it
AFTER_TRIALS = 10
STUCK_SECONDS = 3.0     # a script that makes a task poll without end is no script: it is given up soon


@dataclass(frozen=True)
class Confirmed:
    """What came of it."""

    lines: Sequence[ForceLine]      # the script; empty if there is none
    both_sides: bool                # the after side comes to the same places
    hits: int
    trials: int
    reason: str = ""                # why there is no script, or why it does not always hit

    def __str__(self) -> str:
        if not self.lines:
            return f"not confirmed in parallel: {self.reason}"
        return (f"confirmed {self.hits:,} of {self.trials:,} in parallel"
                + (f": {self.reason}" if self.reason else ""))


def confirm(race: Race, side: str, record: Record, trials: int = TRIALS) -> Confirmed:
    """Find a script for the record of a failing trial, and run it so often.

    Raises UsageError for a race that cannot run.
    """
    try:
        scripts = list(_scripts(Script(race, record)))
    except CannotHold as why:
        return Confirmed([], False, 0, 0, str(why))
    if not scripts:
        return Confirmed([], False, 0, 0, f"it needs more than {native.MAX_HOLDS} holds, or none")
    tried = [(_forced(race, lines, side, PILOT).hits, lines) for lines in scripts]
    hits, lines = max(tried, key=lambda pair: pair[0])
    whole = lines
    if hits == PILOT:
        lines = _shortest(race, side, whole)
    found = _forced(race, lines, side, trials)
    if found.hits < found.trials and lines is not whole:    # the few trials were luck
        lines = whole
        found = _forced(race, lines, side, trials)
    both = side != "after" and "after" in race.sides \
        and _forced(race, lines, "after", AFTER_TRIALS).verdict is Verdict.CLEAN
    reason = "" if found.hits == found.trials else "; ".join(found.doubts) or found.failure[:100]
    return Confirmed(lines, both, found.hits, found.trials, reason)


def _scripts(script: Script) -> Iterator[list[ForceLine]]:
    for every_switch in (False, True):
        lines = script.lines(every_switch)
        if 0 < len(lines) <= native.MAX_HOLDS:
            yield lines


def _shortest(race: Race, side: str, lines: list[ForceLine]) -> list[ForceLine]:
    """The script without each line that a few trials do not need."""
    for line in list(lines):
        fewer = [other for other in lines if other is not line]
        if fewer and _forced(race, fewer, side, PILOT).hits == PILOT:
            lines = fewer
    return lines


def with_script(race: Race, lines: Sequence[ForceLine]) -> Race:
    """The race with this script in place of its own."""
    other = race.without_script()
    for line in lines:
        line.add_to(other)
    return other


def _forced(race: Race, lines: Sequence[ForceLine], side: str, trials: int) -> Side:
    plan = Plan("forced", trials=trials, stuck_seconds=STUCK_SECONDS)
    return run_race(with_script(race, lines), plan, [side]).sides[side]


def script_text(race: Race, schedule: Schedule, record: Record, found: Confirmed, file: Path,
                name: str) -> str:
    """The race file.  file: where it will be; name: that of the schedule's own file, or ""."""
    sides = "" if found.both_sides else f', sides="{schedule.side}"'
    forces = "\n".join(_with_sides(line.text, sides) for line in found.lines)
    imports, find = _race_of(race, schedule.race, file)
    source = f" of {name}" if name else ""
    return (f'"""{race.name}, forced: {race.title or schedule.outcome.splitlines()[0]}.\n\n'
            f"Written by kemu from a schedule{source}: race {schedule.race}, side {schedule.side}, "
            f"code {schedule.code}.\n{str(found).capitalize()}.  "
            f"Run it again:\n\n    kemu race {file} --side {schedule.side} --how forced\n\n"
            f"The schedule, one CPU at a time:\n\n"
            f"{textwrap.indent(_safe(drawing(record, schedule.outcome)), '    ')}\n\"\"\"\n\n"
            f"{imports}\n\n{find}\n\n{forces}\n")


def _with_sides(text: str, sides: str) -> str:
    return text[:-1] + sides + ")"


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")


def _race_of(race: Race, what: str, file: Path) -> tuple[str, str]:
    """The lines that import the race, and that make it without a script."""
    if race.name in EXHIBITS and what == race.name:
        return ("import kemu\nfrom kemu.races import exhibit",
                f'race = exhibit("{race.name}").without_script()')
    path = os.path.relpath(Path(what.partition(":")[0]).resolve(), file.resolve().parent)
    return ("from pathlib import Path\n\nimport kemu\nfrom kemu.races import find",
            f'HERE = Path(__file__).parent\n'
            f'race = find(f"{{HERE / {path!r}}}:{race.name}")[0].without_script()')
