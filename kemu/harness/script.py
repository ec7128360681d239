"""A race's script: which task waits at which point, until which task passes which point.

    Hold        one step of the script, as race.force() makes it
    arm()       write the steps of a side into shared memory, before each trial
    outcome()   how a step ended, read from shared memory after the trial

A step did its part if the task was held.  It did so too if it was to be held at its start and
the awaited point had been passed by then, because the order that the script asks for was
there already.

Linux: none; kemu's own.  The hardware holds the tasks (native/hardware/gate.c).
Locks: none.  Callers: race; referee and tally; rest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from kemu import native
from kemu.memory import points

START, DONE = "start", "done"       # the points that every actor passes

KINDS = {"stall": native.HOLD_STALL, "preemptible": native.HOLD_PREEMPTIBLE,
         "locked": native.HOLD_LOCKED}


@dataclass(frozen=True)
class Hold:
    """A task waits at a point until another task passes one.

    nth: at which pass of the point, from 1.  trial: in which trial of a machine, from 1;
    None: in each.  sides: on which sides; empty: on all.  implied: kemu added it, so that an
    actor does not finish before the held one is at its point.  early: the awaited point may be
    passed before the task comes to its point: the task is then not held, and the trial counts.
    """

    who: str
    at: str
    until_who: str
    until: str
    kind: int
    nth: int = 1
    trial: int | None = None
    sides: tuple[str, ...] = ()
    early: bool = False
    implied: bool = False
    line: str = field(default="", repr=False, compare=False)     # FILE:LINE of force()

    def applies(self, side: str, trial: int) -> bool:
        """Whether the script has this step on that side and in that trial."""
        return (not self.sides or side in self.sides) and self.trial in (None, trial)

    def __str__(self) -> str:
        nth = f" (pass {self.nth})" if self.nth > 1 else ""
        where = f", {self.line}" if self.line else ""
        return f"{self.who} at {self.at!r}{nth} until {self.until_who} passes {self.until!r}{where}"


class Ended(IntEnum):
    """How a hold stands at the end of a trial."""

    NEVER_REACHED = 0       # the task did not come to the point
    TOO_FEW = 1             # it came there, but not often enough for nth=
    SKIPPED = 2             # the awaited point had been passed before the task came
    PASSED = 3              # held until the awaited point was passed
    WAITED_FOR = 4          # held until another task waited for the held one
    ALL_BLOCKED = 5         # held until nothing else could run
    STILL_HELD = 6          # held when the machine stopped


HELD = (Ended.PASSED, Ended.WAITED_FOR, Ended.ALL_BLOCKED, Ended.STILL_HELD)
WORDS = {
    Ended.NEVER_REACHED: "{who} never reached its point {at!r}",
    Ended.TOO_FEW: "{who} passed {at!r} fewer than {nth} times",
    Ended.SKIPPED: "{who} was not held at {at!r}: {until_who} had already passed {until!r}",
    Ended.PASSED: "{who} was held at {at!r} until {until_who} passed {until!r}",
    Ended.WAITED_FOR: "{who} was held at {at!r} until another task waited for it",
    Ended.ALL_BLOCKED: "{who} was held at {at!r} until nothing else could run",
    Ended.STILL_HELD: "{who} was held at {at!r} when the machine stopped",
}


def told(hold: Hold, ended: Ended) -> str:
    """How the hold ended, in words, with its line of the race's file."""
    where = f" ({hold.line})" if hold.line else ""
    return WORDS[ended].format(**vars(hold)) + where


def caller_line(depth: int = 2) -> str:
    """FILE:LINE of the code that calls the caller."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


def slots(memory: native.Memory, holds: Sequence[Hold]) -> list[points.Hold]:
    """The shared words of each hold."""
    return [points.Hold(memory, number) for number in range(len(holds))]


def arm(places: Sequence[points.Hold], holds: Sequence[Hold], side: str, trial: int) -> None:
    """Write the script into shared memory, so that the next pass of each point finds it."""
    for place, hold in zip(places, holds, strict=True):
        if hold.applies(side, trial):
            place.arm(hold.kind, hold.who, hold.at, hold.until_who, hold.until, hold.nth)
        else:
            place.state.store(0)


def outcome(place: points.Hold, hold: Hold) -> Ended:
    """How the hold ended.  Exact once the machine is at rest or has stopped."""
    if not place.held.load():
        reached = place.reached.load()
        if reached < hold.nth:
            return Ended.TOO_FEW if reached else Ended.NEVER_REACHED
        return Ended.SKIPPED
    return {native.HOLD_PASSED: Ended.PASSED, native.HOLD_WAITED_FOR: Ended.WAITED_FOR,
            native.HOLD_ALL_BLOCKED: Ended.ALL_BLOCKED}.get(place.state.load(), Ended.STILL_HELD)


def did_its_part(hold: Hold, ended: Ended) -> bool:
    """Whether the trial ran as the script says, as far as this hold goes."""
    in_order = ended is Ended.SKIPPED and (hold.early or hold.at == START)
    return hold.implied or ended in HELD or in_order
