"""What a trial found, and whether that is the hit that the race names.

This is the only place that decides what a hit is.  The referee, or the controller after a
panic, reports one finding for a trial at most.  On a side that is expected to hit,
``is_hit()`` tells the failure that the race names from every other failure.  On a side that
is expected to be clean, every finding is a failure of that side.

    finding         found when                              is the hit if
    PANIC           the kernel stopped                      expects= is in the panic's text
    INVARIANT       an invariant of the race does not hold  always: the race states it
    ASLEEP          an actor sleeps for ever                the race names it: race.asleep(actor)
    POSTCONDITION   an operation broke its promise          never
    AUDIT           the machine breaks an invariant of      expects= is in the audit's text
                    its own, S1 to S84
    STUCK           the machine does not come to rest       never

Linux: none; kemu's own.
Locks: none.  Callers: referee, side_run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kemu.harness.race import Race


class Kind(Enum):
    """How a trial failed."""

    PANIC = "a panic"
    INVARIANT = "an invariant"
    ASLEEP = "a task that sleeps for ever"
    POSTCONDITION = "a postcondition"
    AUDIT = "the audit"
    STUCK = "a machine that does not come to rest"


@dataclass(frozen=True)
class Finding:
    """How one trial failed.  ``text`` says it in words; ``who`` are the actors whose sleep never ends.

    ``report`` is what the machine left behind, if it stopped because of a hang.
    """

    kind: Kind
    text: str
    who: tuple[str, ...] = ()
    report: str = ""

    @property
    def hung(self) -> bool:
        """Whether the trial waited for what never came."""
        return self.kind in (Kind.ASLEEP, Kind.STUCK) or bool(self.report)

    @property
    def line(self) -> str:
        """The finding on one line."""
        return " ".join(part.strip() for part in self.text.strip().splitlines()[:2])


def is_hit(race: Race, side: str, finding: Finding) -> bool:
    """Whether the finding is the failure that the race names for that side."""
    if finding.kind in (Kind.PANIC, Kind.AUDIT):
        wanted = race.side(side).expects
        return bool(wanted) and wanted in finding.text
    if finding.kind is Kind.ASLEEP:
        return any(name in race.sleepers for name in finding.who)
    return finding.kind is Kind.INVARIANT


def why_not(race: Race, side: str, finding: Finding) -> str:
    """Why a finding on a side that is expected to hit is not the hit, and what to do."""
    wanted = race.side(side).expects
    if finding.kind in (Kind.PANIC, Kind.AUDIT):
        hint = (f"the race expects {wanted!r}" if wanted else
                "the race names no panic: say expects= with a part of its text")
    elif finding.kind is Kind.ASLEEP:
        hint = f"the race does not name it: say race.asleep({finding.who[0]}) if that is the hit"
    else:
        hint = "only an invariant, a panic or a sleeping task is a hit"
    return f"it failed, but not as the race says: {finding.line} ({hint})"
