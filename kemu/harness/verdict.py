"""What was seen, and what it proves: counts and verdicts.

How to read a verdict.  Each side of a race is run by itself and expected either to hit or to be
clean.  The row of a side says:

    trials      trials that began
    witnessed   trials that count.  A trial counts if every witness of the side was seen in it:
                a witness is a state that the race declares to be the dangerous one.  In a race
                that declares none, two windows were open together.  A forced trial counts only
                if, besides, each hold of the script did its part: the task was held at its
                point.  Any other trial counts only if, besides, its tasks did not take turns.
                A trial that hits counts
    took turns  trials in which two tasks of one process ran at once on two cores, and so took
                turns at its interpreter.  A race may say why these trials count all the same
    audited     audits of the machine: the invariants S1 to S84 that hold at rest
    hits        trials that ended in the failure that the race names: the text of a panic, an
                invariant of the race, or an actor whose sleep never ends.  On a side that is
                expected to be clean, trials that failed in any way
    rate        hits among the trials that count: the 95 % interval after Clopper and Pearson,
                two-sided, which allows for a run that stops at its n-th hit

    side that is expected to hit
        HIT         the failure that the race names showed.  If forced, in every trial that counts
        MISSED      forced, and in some trial that counts it did not show: the script does not
                    force it
        UNKNOWN     the run proves nothing: it did not hit, it failed otherwise than the race
                    says, or see below
    side that is expected to be clean
        CLEAN       no trial failed, trials counted, every postcondition was kept and every audit
                    passed.  It bounds the rate; it does not prove that the rate is zero
        BROKEN      a trial failed, in whatever way
        UNKNOWN     the run proves nothing: see below

    UNKNOWN on either side comes with its reasons: a witness was never seen, no trial counts, an
    override was never called, no invariant was ever evaluated, a hold never did its part (unless the
    hit came before), or the script or another task kept the machine from coming to rest.

A mistake of the race's file is not a verdict.  The run ends at its first trial with status 64.

A rate is one of Python-wide windows on this host: it tells one side from the other, and bounds
what is left.  It is not the kernel's odds.

Linux: none; kemu's own.
Locks: none.  Callers: doubts, side_run, runner, cli.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kemu.exits import Exit, worst
from kemu.harness.interval import CONFIDENCE, interval
from kemu.harness.text import outcome_text
from kemu.harness.sides import AFTER, BEFORE, CLEAN, HIT
from kemu.trace.reader import Trace

__all__ = ["Exit", "Outcome", "Side", "Verdict", "interval", "worst"]


class Verdict(Enum):
    """Of one side."""

    HIT = "HIT"
    CLEAN = "CLEAN"
    UNKNOWN = "UNKNOWN"
    MISSED = "MISSED"
    BROKEN = "BROKEN"

    @property
    def exit(self) -> Exit:
        """What a command returns for it."""
        if self in (Verdict.HIT, Verdict.CLEAN):
            return Exit.EXPECTED
        return Exit.UNKNOWN if self is Verdict.UNKNOWN else Exit.UNEXPECTED


@dataclass(repr=False)
class Side:
    """One side of a race, as it ran."""

    side: str                           # its name: "before", "after" or a variant's
    how: str                            # "forced", "jitter", "free", or a search of kemu.explore
    trials: int = 0
    witnessed: int = 0                  # trials that count
    hits: int = 0
    seconds: float = 0.0
    expect: str = ""                    # "hit" or "clean"; by default as its name says
    audits: int = 0
    stopped_at_hit: bool = False        # it ended because it had enough hits
    doubts: list[str] = field(default_factory=list)     # why the run proves nothing
    notes: list[str] = field(default_factory=list)      # what a reader should also know
    seen: dict[str, int] = field(default_factory=dict)  # trials in which each witness was seen
    holds: list[str] = field(default_factory=list)      # how each hold ended, and how often
    meanings: dict[str, str] = field(default_factory=dict)     # what each witness stands for
    turns: int = 0                      # trials in which tasks took turns at one interpreter
    turns_allowed: str = ""             # why these trials count; "": they do not, unless forced
    diagram: str = ""                   # of the first hit
    failure: str = ""                   # what the first failure said
    where: str = ""                     # in which line, if it was an exception
    seconds_to_hit: float | None = None
    schedules_to_hit: int | None = None  # the number of the schedule of a search that hit first
    trace: Trace | None = None          # of the first hit, or of the last machine
    proof: str = ""                     # what a search without a hit proves
    schedule: str = ""                  # of the first hit of a search: the text of its file
    machines: int = 1                   # that ran side by side
    placement: list[int] = field(default_factory=list)  # the host core of each CPU, at first

    def __post_init__(self) -> None:
        self.expect = self.expect or (HIT if self.side == BEFORE else CLEAN)

    @property
    def clean(self) -> bool:
        return self.verdict is Verdict.CLEAN

    @property
    def low(self) -> float:
        """The least rate of hits that is consistent with the counts, with 95 % confidence."""
        return interval(self.hits, self.witnessed, self.stopped_at_hit)[0]

    @property
    def high(self) -> float:
        """The largest rate of hits that is consistent with the counts, with 95 % confidence."""
        return interval(self.hits, self.witnessed, self.stopped_at_hit)[1]

    @property
    def verdict(self) -> Verdict:
        """What the side proves: see the head of this module."""
        if self.expect == CLEAN:
            if self.hits:
                return Verdict.BROKEN
            return Verdict.UNKNOWN if self.doubts or not self.witnessed else Verdict.CLEAN
        if self.doubts or not self.witnessed:
            return Verdict.UNKNOWN
        if self.how == "forced" and self.hits < self.witnessed:
            return Verdict.MISSED
        return Verdict.HIT if self.hits else Verdict.UNKNOWN

    def bound(self) -> str:
        """What a clean side proves, in words."""
        return self.proof or f"0 in {self.witnessed:,}: rate below {self.high:.1e} at {CONFIDENCE:.0%}"

    def as_json(self) -> dict[str, Any]:
        """The counts, as `kemu race --json` prints them."""
        return {"expect": self.expect, "trials": self.trials, "witnessed": self.witnessed,
                "hits": self.hits, "audits": self.audits, "machines": self.machines,
                "low": self.low, "high": self.high,
                "seconds": round(self.seconds, 3), "seconds_to_hit": self.seconds_to_hit,
                "schedules_to_hit": self.schedules_to_hit,
                "verdict": self.verdict.value, "doubts": self.doubts, "notes": self.notes,
                "witnesses": self.seen, "took_turns": self.turns, "holds": self.holds}

    def __repr__(self) -> str:
        return (f"<Side {self.side}, {self.how}: {self.verdict.value}, {self.hits:,} hits in "
                f"{self.witnessed:,} of {self.trials:,} trials that count>")


@dataclass(repr=False)
class Outcome:
    """All sides of a race that ran, in order."""

    race: str
    how: str
    seed: int
    sides: dict[str, Side] = field(default_factory=dict)
    title: str = ""             # of the race: what happens in it
    options: str = ""           # the options of the command that runs it again
    what: str = ""              # the race in that command, if not by its name: FILE:NAME
    program: str = "kemu"       # the name of the program in that command

    @property
    def before(self) -> Side:
        """The side "before", or the first side that is expected to hit."""
        return self._side(BEFORE, HIT, list(self.sides.values()))

    @property
    def after(self) -> Side:
        """The side "after", or the last side that is expected to be clean."""
        return self._side(AFTER, CLEAN, list(self.sides.values())[::-1])

    def _side(self, name: str, expect: str, order: list[Side]) -> Side:
        if name in self.sides:
            return self.sides[name]
        for side in order:
            if side.expect == expect:
                return side
        raise KeyError(name)

    def told_apart(self, clean: Side) -> str:
        """A warning if a clean side's bound is above what another side showed.

        Returns "" in forced mode, and when the sides can be told apart.
        """
        showed = [side.low for side in self.sides.values() if side.expect == HIT and side.hits]
        if self.how == "forced" or clean.proof or not showed or clean.high < min(showed):
            return ""
        return (f"; before, it may be as low as {min(showed):.1e}: it takes more trials to tell "
                "them apart")

    @property
    def exit(self) -> Exit:
        """The worst verdict of all sides."""
        return worst(side.verdict.exit for side in self.sides.values())

    def __str__(self) -> str:
        """The table, what it proves, the diagram of the first hit, the next command."""
        return outcome_text(self)

    def __repr__(self) -> str:
        return f"<Outcome of {self.race}, {self.how}: " + ", ".join(
            f"{side.side} {side.verdict.value}" for side in self.sides.values()) + ">"
