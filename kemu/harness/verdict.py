"""What was seen, and what it proves: counts, intervals, verdicts.

A rate is one of Python-wide windows on this host: it tells before from after, and
bounds what is left.  It is not the kernel's odds.

    before   HIT      the race showed
             UNKNOWN  it did not, or the run proves nothing (see why)
             MISSED   a forced run must hit in every trial, and did not
    after    CLEAN    no hit, and the sides did meet in the window
             UNKNOWN  the run proves nothing
             BROKEN   the fixed kernel failed
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kemu.exits import Exit, worst
from kemu.harness.text import outcome_text
from kemu.trace.reader import Trace

CONFIDENCE = 0.95
Z = 1.959964            # of the normal distribution, two-sided 95 %


class Verdict(Enum):
    """Of one side."""

    HIT = "HIT"
    CLEAN = "CLEAN"
    UNKNOWN = "UNKNOWN"
    MISSED = "MISSED"
    BROKEN = "BROKEN"

    @property
    def exit(self) -> Exit:
        if self in (Verdict.HIT, Verdict.CLEAN):
            return Exit.EXPECTED
        return Exit.UNKNOWN if self is Verdict.UNKNOWN else Exit.UNEXPECTED


def interval(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson); with no hit, from zero to the exact bound."""
    if not trials:
        return 0.0, 1.0
    if not hits:
        return 0.0, 1 - (1 - CONFIDENCE) ** (1 / trials)
    rate, square = hits / trials, Z * Z
    middle = (rate + square / (2 * trials)) / (1 + square / trials)
    half = Z / (1 + square / trials) * math.sqrt(
        rate * (1 - rate) / trials + square / (4 * trials * trials))
    return max(0.0, middle - half), 1.0 if hits == trials else min(1.0, middle + half)


@dataclass(repr=False)
class Side:
    """One side of a race, as it ran."""

    side: str                           # "before" or "after"
    how: str                            # "forced", "jitter" or "free"
    trials: int = 0
    overlaps: int = 0                   # trials in which the sides met in the window
    hits: int = 0
    seconds: float = 0.0
    doubts: list[str] = field(default_factory=list)     # why the run proves nothing
    diagram: str = ""                   # of the first hit
    failure: str = ""                   # what the first hit said
    where: str = ""                     # in which line, if it was an exception
    seconds_to_hit: float | None = None
    trace: Trace | None = None           # of the first hit, or of the last machine

    @property
    def clean(self) -> bool:
        return self.verdict is Verdict.CLEAN

    @property
    def low(self) -> float:
        return interval(self.hits, self.overlaps)[0]

    @property
    def high(self) -> float:
        """Of the rate, with 95 % confidence."""
        return interval(self.hits, self.overlaps)[1]

    @property
    def verdict(self) -> Verdict:
        if self.side == "after":
            if self.hits:
                return Verdict.BROKEN
            return Verdict.UNKNOWN if self.doubts or not self.overlaps else Verdict.CLEAN
        if self.how == "forced" and not self.doubts and self.hits < self.trials:
            return Verdict.MISSED
        return Verdict.UNKNOWN if self.doubts or not self.hits else Verdict.HIT

    def bound(self) -> str:
        """What a clean side proves, in words."""
        return f"0 in {self.overlaps:,}: rate below {self.high:.1e} at {CONFIDENCE:.0%}"

    def as_json(self) -> dict[str, Any]:
        return {"trials": self.trials, "overlaps": self.overlaps, "hits": self.hits,
                "low": self.low, "high": self.high, "seconds": round(self.seconds, 3),
                "seconds_to_hit": self.seconds_to_hit, "verdict": self.verdict.value,
                "doubts": self.doubts}

    def __repr__(self) -> str:
        return (f"<Side {self.side}, {self.how}: {self.verdict.value}, {self.hits:,} hits in "
                f"{self.overlaps:,} of {self.trials:,} trials that met>")


@dataclass(repr=False)
class Outcome:
    """Both sides of a race."""

    race: str
    how: str
    seed: int
    sides: dict[str, Side] = field(default_factory=dict)
    title: str = ""             # of the race: what happens in it
    options: str = ""           # of the command that runs it again
    what: str = ""              # the race in that command, if not by its name: FILE:NAME
    program: str = "kemu"       # in that command

    @property
    def before(self) -> Side:
        return self.sides["before"]

    @property
    def after(self) -> Side:
        return self.sides["after"]

    def told_apart(self) -> str:
        """A warning, if a clean side's bound is above what the other showed: "" else, or if forced."""
        before = self.sides.get("before")
        if self.how == "forced" or not before or not before.hits or self.after.high < before.low:
            return ""
        return (f"; before, it may be as low as {before.low:.1e}: it takes more trials to tell them "
                "apart")

    @property
    def exit(self) -> Exit:
        """The worst of the sides."""
        return worst(side.verdict.exit for side in self.sides.values())

    def __str__(self) -> str:
        """The table, what it proves, the diagram of the first hit, the next command."""
        return outcome_text(self)

    def __repr__(self) -> str:
        return f"<Outcome of {self.race}, {self.how}: " + ", ".join(
            f"{side.side} {side.verdict.value}" for side in self.sides.values()) + ">"
