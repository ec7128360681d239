"""Turn a schedule into a script: which task to hold before which operation, until when.

A schedule is segments: steps of one CPU, up to a switch.  Where a CPU was stopped although it could
have gone on, its task is held before its next step, until the segments in between are over.  A
segment is over when its task comes to its own next step, or to its end.  A step that a CPU had
announced when the machine stopped makes a segment too, at the end.  An actor whose first
segment is not the first of all is held at its start.  A CPU that had to wait, for a lock or for a
wake-up, waits in parallel too and needs no hold.

What a stall of a CPU cannot force:

    a step that is not an operation of a task   an idle CPU that wakes up, an interrupt that is
                                                taken, a poll, a timer
    a word without a name                       hold.c would not find it in another machine
    a store that waits, an older value          the memory of the host decides

Locks: none.  Callers: confirm, walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from kemu import native
from kemu.explore.alternative import preempts
from kemu.explore.draw import shared_words
from kemu.explore.record import OPS, Record, Step
from kemu.harness.operation import OPERATIONS, Operation
from kemu.harness.race import DONE, START, Race

NO_NAME = ("heap", "header+", "point:")


class CannotHold(Exception):
    """No stall at an operation forces this schedule; the text says why."""


@dataclass(frozen=True)
class ForceLine:
    """One race.force() of a script."""

    hold: str
    at: str | Operation
    until: tuple[str, str | Operation]
    kind: str = "stall"

    @property
    def text(self) -> str:
        """As Python."""
        kind = f', kind="{self.kind}"' if self.kind != "stall" else ""
        return (f'race.force(hold="{self.hold}", at={_as_python(self.at)},\n'
                f'           until=("{self.until[0]}", {_as_python(self.until[1])}){kind})')

    def add_to(self, race: Race) -> None:
        """Declare it."""
        race.force(self.hold, self.at, self.until, self.kind)


def _as_python(place: str | Operation) -> str:
    return f'"{place}"' if isinstance(place, str) else repr(place)


@dataclass(frozen=True)
class Segment:
    """The steps from ``first`` to ``last``, all of one CPU."""

    cpu: int
    first: int
    last: int


def segments(record: Record) -> list[Segment]:
    """The record, cut at each switch."""
    steps = [*record.steps, *record.pending]
    runs = [list(run) for _, run in groupby(range(len(steps)), lambda at: steps[at].cpu)]
    return [Segment(steps[run[0]].cpu, run[0], run[-1]) for run in runs]


class Script:
    """The holds that force a record."""

    def __init__(self, race: Race, record: Record) -> None:
        self.record = record
        self.steps: list[Step] = [*record.steps, *record.pending]
        self.segments: list[Segment] = segments(record)
        self.real: int = sum(segment.first < len(record.steps) for segment in self.segments)
        self.shared: set[int] = shared_words(record.steps)
        self.actors: set[str] = {actor.name for actor in race.actors}
        if any(step.chosen and step.alt >= native.ALT_DRAIN for step in record.steps):
            raise CannotHold("a store waits in a buffer, or a load returns an older value: the memory "
                             "of the host decides that, and no stall does")

    def lines(self, every_switch: bool = False) -> list[ForceLine]:
        """The script.  Raises CannotHold.

        every_switch: hold the task of a CPU that had to wait, too, until its turn comes.
        """
        return list(self._lines(every_switch))

    def _lines(self, every_switch: bool) -> Iterator[ForceLine]:
        seen: dict[int, Segment] = {}
        for number, segment in enumerate(self.segments):
            before = seen.get(segment.cpu)
            seen[segment.cpu] = segment
            if not number:
                continue
            if self.steps[segment.first].op == native.OP_START:
                yield ForceLine(self.record.tasks[segment.first], START, self._turn_of(number),
                                "preemptible")
            elif (before is not None and self._was_preempted(before)) \
                    or (every_switch and self._place_in(segment) is not None):
                yield self._held_in(segment, number)

    def _held_in(self, segment: Segment, number: int) -> ForceLine:
        at = self._place_in(segment)
        if at is None:
            raise CannotHold(f"{self.record.tasks[segment.first]} is to wait before it does "
                             f"{OPS[self.steps[segment.first].op]!r} of {self.record.words[segment.first]}, "
                             "and no stall at an operation can hold it there")
        return ForceLine(self.record.tasks[at], self._operation(at), self._turn_of(number),
                         "locked" if self._holds_lock(at) else "stall")

    def _was_preempted(self, segment: Segment) -> bool:
        """Whether the CPU could have gone on after its last step of the segment."""
        after = self.steps[segment.last + 1]
        return after.chosen and after.before == segment.cpu and preempts(after, after.alt)

    def _place_in(self, segment: Segment) -> int | None:
        """The first step of the segment where its task can be held; None if that is too late.

        What comes before it in the segment is seen by no other CPU.
        """
        for at in range(segment.first, segment.last + 1):
            if self._can_hold(at):
                return at
            if self.steps[at].flags & native.STEP_WRITES \
                    and self.steps[at].word in self.shared:
                return None
        return None

    def _can_hold(self, at: int) -> bool:
        return (OPS.get(self.steps[at].op) in OPERATIONS
                and not self.record.words[at].startswith(NO_NAME)
                and "+" not in self.record.words[at])

    def _operation(self, at: int) -> Operation:
        """The step, counted among its task's steps of its kind."""
        def kind(step: int) -> tuple[int, str, str]:
            return self.steps[step].op, self.record.words[step], self.record.tasks[step]

        nth = sum(kind(step) == kind(at) for step in range(at + 1))
        return Operation(OPS[self.steps[at].op], self.record.words[at], nth)

    def _turn_of(self, number: int) -> tuple[str, str | Operation]:
        """What shows that a segment may begin: the one before it is over, or the last that ran."""
        return self._end_of(min(number, self.real) - 1)

    def _end_of(self, number: int) -> tuple[str, str | Operation]:
        """What shows that the segment is over: its CPU comes to its next step, or its actor ends."""
        segment = self.segments[number]
        last = segment.last
        if self._is_done(last):
            return self.record.tasks[last], DONE
        following = [at for at in range(last + 1, len(self.steps))
                     if self.steps[at].cpu == segment.cpu]
        for at in following:
            if self._can_hold(at):
                return self.record.tasks[at], self._operation(at)
            if self._is_done(at):
                return self.record.tasks[at], DONE
            if self.steps[at].op != native.OP_POINT:
                break
        # The CPU goes idle, or waits: the hold ends because nothing else can run.
        actor = next((self.record.tasks[at] for at in range(last, segment.first - 1, -1)
                      if self.record.tasks[at] in self.actors), self.record.tasks[last])
        return actor, DONE

    def _is_done(self, at: int) -> bool:
        return self.steps[at].op == native.OP_POINT and self.record.words[at] == DONE

    def _holds_lock(self, at: int) -> bool:
        task = self.record.tasks[at]
        ops = [self.steps[step].op for step in range(at) if self.record.tasks[step] == task]
        return ops.count(native.OP_LOCK) > ops.count(native.OP_UNLOCK)
