"""Compare a run with a saved one: the ratio of their medians, and its interval.

The interval is a percentile bootstrap (Efron 1979) over the medians of the rounds.  Samples
of one round share the host's mood, so a bootstrap over single samples would promise too much.

Locks: none.  Callers: the command line.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from kemu.errors import UsageError

RESAMPLES = 2000
CONFIDENCE = 0.95
SCHEMA = "kemu-latency-1"


@dataclass(frozen=True)
class Ratio:
    """New over old, of one measure on one pair of cores."""

    measure: str
    cores: tuple[int, int]
    value: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """What the interval proves, in words."""
        return "slower" if self.low > 1 else "faster" if self.high < 1 else "not told apart"


def ratio_of_medians(new: list[float], old: list[float], seed: int = 1) -> tuple[float, float, float]:
    """The ratio of the medians of two lists, and its 95 % bootstrap interval."""
    draw = random.Random(seed)
    ratios = sorted(median(draw.choices(new, k=len(new))) / median(draw.choices(old, k=len(old)))
                    for _ in range(RESAMPLES))
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return median(new) / median(old), ratios[tail], ratios[-1 - tail]


def load_run(path: Path) -> dict[str, Any]:
    """A run that ``kemu latency --json`` saved.  Raises UsageError for any other file."""
    try:
        run = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--compare {path}: it cannot be read: {error}") from error
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        raise UsageError(f"--compare {path}: it is not a run that `kemu latency --json` saved")
    return run


def compare(new: dict[str, Any], old: dict[str, Any]) -> list[Ratio]:
    """Every measure that both runs have, on the same cores, under the same options."""
    def by_place(run: dict[str, Any]) -> dict[tuple[Any, ...], list[float]]:
        return {(one["measure"], tuple(one["cores"]), one["interval_us"], one["poll_us"]): one["rounds_ns"]
                for one in run["series"] if one["rounds_ns"]}

    before, after = by_place(old), by_place(new)
    shared = [place for place in after if place in before]
    if not shared:
        raise UsageError("--compare: the two runs have no measure of the same cores, interval and "
                         "polling in common")
    return [Ratio(place[0], place[1], *ratio_of_medians(after[place], before[place]))
            for place in shared]
