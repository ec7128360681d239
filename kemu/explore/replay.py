"""Run a schedule again in a fresh machine, and compare each step with its record.

Locks: none.  Callers: cli/replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kemu.explore.draw import drawing
from kemu.explore.plan import Plan
from kemu.explore.record import Record, parting
from kemu.explore.schedule import Schedule
from kemu.explore.strategy import Replay
from kemu.explore.trials import hold_trials
from kemu.harness.race import Race


@dataclass(frozen=True)
class Replayed:
    """What came of it."""

    record: Record
    text: str               # what it hit; "" if nothing
    remarks: list[str]      # for the reader
    same: bool              # step for step, with the same outcome

    @property
    def drawing(self) -> str:
        return drawing(self.record, self.text or "no violation")


def replay(race: Race, schedule: Schedule) -> Replayed:
    """Run the schedule again.  Raises UsageError if the race cannot run."""
    trials = hold_trials(race, schedule.side, Replay(Plan(schedule.choices)),
                         memory=schedule.memory)
    remarks = list(_remarks(race, schedule, trials.record, trials.text))
    where = parting(schedule.lines, trials.record.lines)
    return Replayed(trials.record, trials.text, remarks,
                    not where and same_outcome(trials.text, schedule.outcome))


def same_outcome(one: str, other: str) -> bool:
    """Whether the outcomes begin with the same line: what follows may have addresses of a machine."""
    return one.splitlines()[:1] == other.splitlines()[:1]


def _remarks(race: Race, schedule: Schedule, record: Record, text: str) -> Iterator[str]:
    if race.code_hash() != schedule.code:
        yield (f"the code of race {race.name} has changed since the schedule was written: "
               f"{schedule.code}, now {race.code_hash()}")
    where = parting(schedule.lines, record.lines)
    if where:
        yield f"the trial parted from its record: {where}"
    elif not same_outcome(text, schedule.outcome):
        yield f"each step is the same, and the outcome was {schedule.outcome!r}, and is {text!r}"
    else:
        yield f"the same {len(record.lines)} steps, and the same outcome"
