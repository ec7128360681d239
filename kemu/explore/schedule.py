"""Schedule files: a trial that can be run again, as text.

    kemu schedule 2
    race lost-wakeup
    side before
    code 3fa0b1c2d3e4f506
    memory sc
    choices 1*3 0*5 1
    outcome "the sleeper sleeps, and has work"
    steps
    cpu1 sleeper: start start
    ...

``race`` is what `kemu race` takes: a name, or FILE:NAME.  ``code`` is the hash of the race's
own code (Race.code_hash).  ``memory``: the memory model.  ``choices``: what was taken at each choice
(alternative), ``WHAT*TIMES``.  The steps are the record, with which a replay is compared.

Locks: none.  Callers: run, replay, cli/replay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby

from kemu import native
from kemu.errors import UsageError
from kemu.explore.alternative import parse as alternative
from kemu.explore.alternative import text_of
from kemu.explore.record import Record
from kemu.harness.race import MEMORY, Race

FIRST_LINE = "kemu schedule 2"
FIELDS = ("race", "side", "code", "memory", "choices", "outcome")


@dataclass(frozen=True)
class Schedule:
    """A trial that ran."""

    race: str               # as `kemu race` takes it
    side: str               # a side of the race
    code: str
    choices: bytes
    outcome: str            # what it hit; "" for nothing
    lines: tuple[str, ...]  # the steps, in words
    memory: str = "sc"      # the memory model

    @classmethod
    def of(cls, race: Race, side: str, record: Record, outcome: str, what: str = "",
           memory: str = "sc") -> Schedule:
        """The schedule of a trial of the race."""
        return cls(what or race.name, side, race.code_hash(), record.choices, outcome,
                   tuple(record.lines), memory)

    @property
    def text(self) -> str:
        """The file."""
        runs = [(text_of(alt), len(list(run))) for alt, run in groupby(self.choices)]
        choices = " ".join(alt if times == 1 else f"{alt}*{times}" for alt, times in runs)
        return "\n".join([FIRST_LINE, f"race {self.race}", f"side {self.side}", f"code {self.code}",
                          f"memory {self.memory}",
                          f"choices {choices}", f"outcome {json.dumps(self.outcome)}", "steps",
                          *self.lines, ""])


def parse(text: str, name: str = "the file") -> Schedule:
    """Read a schedule from a file's text.  Raises UsageError, with the line, if the text is wrong."""
    head, _, steps = text.partition("\nsteps\n")
    first, *rest = head.split("\n")
    if first != FIRST_LINE:
        raise UsageError(f"{name}, line 1: {first!r:.60}: a schedule begins with {FIRST_LINE!r}")
    found: dict[str, str] = {}
    for number, line in enumerate(rest, 2):
        key, _, value = line.partition(" ")
        if key not in FIELDS or key in found:
            raise UsageError(f"{name}, line {number}: {line!r:.60}: one line each of "
                             f"{', '.join(FIELDS)}, then 'steps'")
        found[key] = value
    if found.get("memory", "sc") not in MEMORY:
        raise UsageError(f"{name}: memory {found['memory']!r:.60}: one of {', '.join(MEMORY)}")
    missing = [key for key in FIELDS if key not in found]
    if missing:
        raise UsageError(f"{name}: no line {', '.join(missing)}")
    return Schedule(found["race"], found["side"], found["code"],
                    _choices(found["choices"], name), _outcome(found["outcome"], name),
                    tuple(steps.splitlines()), found["memory"])


def _choices(text: str, name: str) -> bytes:
    choices = bytearray()
    for run in text.split():
        what, _, times = run.partition("*")
        alt = alternative(what)
        if alt is None or not (times or "1").isdecimal() \
                or len(choices) + int(times or 1) > native.MAX_PLANNED:
            raise UsageError(f"{name}: choices: {run!r:.60}: CPU, or CPU*TIMES; irqCPU, drainCPU and "
                             f"valueN stand for a CPU too; at most {native.MAX_PLANNED:,} choices")
        choices += bytes([alt]) * int(times or 1)
    return bytes(choices)


def _outcome(text: str, name: str) -> str:
    try:
        outcome = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name}: outcome {text!r:.60}: a JSON string") from error
    if not isinstance(outcome, str):
        raise UsageError(f"{name}: outcome {text!r:.60}: a JSON string")
    return outcome
