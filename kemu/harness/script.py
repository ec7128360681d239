"""A race's script: which task waits at which place, until which task comes to which place.

A place is a named point, or an operation on a word (operation.py).

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
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from kemu import native
from kemu.harness.operation import OPERATIONS, Operation
from kemu.kernel.own.word_names import WordName
from kemu.memory import points

START, DONE = "start", "done"       # the points that every actor passes

KINDS = {"stall": native.HOLD_STALL, "preemptible": native.HOLD_PREEMPTIBLE,
         "locked": native.HOLD_LOCKED}


@dataclass(frozen=True)
class Hold:
    """A task waits at a place until another task comes to one.

    at, until: the name of a point, or an operation.  nth: at which pass of the point, from 1.
    trial: in which trial of a machine, from 1; None: in each.  sides: on which sides; empty: on
    all.  implied: kemu added it, so that an actor does not finish before the held one is at its
    point.  early: the awaited place may be passed before the task comes to its own: the task is
    then not held, and the trial counts.
    """

    who: str
    at: str | Operation
    until_who: str
    until: str | Operation
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
        nth = f" (pass {self.nth})" if self.nth > 1 and isinstance(self.at, str) else ""
        where = f", {self.line}" if self.line else ""
        return "{who} {at}{nth} until {until_who} passes {until}{where}".format(
            **_words(self) | {"nth": nth, "where": where})


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
    Ended.NEVER_REACHED: "{who} never reached {its}",
    Ended.TOO_FEW: "{who} passed {place} fewer than {nth} times",
    Ended.SKIPPED: "{who} was not held {at}: {until_who} had already passed {until}",
    Ended.PASSED: "{who} was held {at} until {until_who} passed {until}",
    Ended.WAITED_FOR: "{who} was held {at} until another task waited for it",
    Ended.ALL_BLOCKED: "{who} was held {at} until nothing else could run",
    Ended.STILL_HELD: "{who} was held {at} when the machine stopped",
}


def told(hold: Hold, ended: Ended) -> str:
    """How the hold ended, in words, with its line of the race's file."""
    where = f" ({hold.line})" if hold.line else ""
    return WORDS[ended].format(**_words(hold)) + where


def _words(hold: Hold) -> dict[str, object]:
    """The hold's tasks and places, as a sentence has them."""
    at, until = hold.at, hold.until
    words: dict[str, object] = {
        "who": hold.who, "until_who": hold.until_who,
        "until": f"its {until}" if isinstance(until, Operation) else repr(until)}
    if isinstance(at, Operation):
        return words | {"nth": at.nth, "place": f"a {at.op} of {at.word}", "its": f"its {at}",
                        "at": f"before its {at}"}
    return words | {"nth": hold.nth, "place": repr(at), "its": f"its point {at!r}", "at": f"at {at!r}"}


def caller_line(depth: int = 2) -> str:
    """FILE:LINE of the code that calls the caller."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"


def slots(memory: native.Memory, holds: Sequence[Hold]) -> list[points.Hold]:
    """The shared words of each hold."""
    return [points.Hold(memory, number) for number in range(len(holds))]


def arm(places: Sequence[points.Hold], holds: Sequence[Hold], side: str, trial: int,
        actors: Collection[str]) -> None:
    """Write the script into shared memory, so that the next pass of each place finds it.

    actors: their names.  Raises UsageError for a word that the machine does not have.
    """
    for place, hold in zip(places, holds, strict=True):
        if hold.applies(side, trial):
            place.arm(hold.kind, _place(place.memory, hold.who, hold.at, hold.nth, actors),
                      _place(place.memory, hold.until_who, hold.until, 1, actors), START)
        else:
            place.state.store(0)


def _place(memory: native.Memory, who: str, at: str | Operation, nth: int,
           actors: Collection[str]) -> points.Place:
    if isinstance(at, str):
        return points.Place(who, native.OP_POINT, points.point_symbol(memory, at), nth=nth)
    word = WordName.parse(at.word)
    counts = native.COUNTS_FROM_OWN_START if who in actors else native.COUNTS_FROM_ANY_START
    return points.Place(who, OPERATIONS[at.op], word.place(memory), word.base, word.owner, at.nth,
                        counts)


def outcome(place: points.Hold, hold: Hold) -> Ended:
    """How the hold ended.  Exact once the machine is at rest or has stopped."""
    if not place.held.load():
        reached = place.at_reached.load()
        if reached < place.at_nth.load():
            return Ended.TOO_FEW if reached else Ended.NEVER_REACHED
        return Ended.SKIPPED
    return {native.HOLD_PASSED: Ended.PASSED, native.HOLD_WAITED_FOR: Ended.WAITED_FOR,
            native.HOLD_ALL_BLOCKED: Ended.ALL_BLOCKED}.get(place.state.load(), Ended.STILL_HELD)


def did_its_part(hold: Hold, ended: Ended) -> bool:
    """Whether the trial ran as the script says, as far as this hold goes."""
    in_order = ended is Ended.SKIPPED and (hold.early or hold.at == START)
    return hold.implied or ended in HELD or in_order
