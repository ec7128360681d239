"""How long until each race of the register hits, by each way to run it.

The before side only, from power-on (each hit needs a fresh machine, and its boot counts):
the median over some seeds.  A seed that did not hit in the time counts as later than all
that did, so a median may be "not within" it; in brackets is how many seeds hit.  The rates
behind the times are those of Python-wide windows on this host, not the kernel's odds.
"""

from __future__ import annotations

import math
from statistics import median

from bench.stats import Report
from kemu.races import FORCED, exhibit
from kemu.harness.runner import HOWS, Plan, run_race

TITLE = "Time to the first hit, in seconds"

SEEDS = (1, 2, 3)
SECONDS = 1.5


def first_hit(name: str, how: str, seed: int, seconds: float) -> float:
    """Seconds until the race's before side hit; infinite if it did not in that time.

    Forced it hits in its first trial, however long the host takes for it.
    """
    plan = Plan(how, trials=1, seed=seed) if how == "forced" else \
        Plan(how, seconds=seconds, seed=seed, enough_hits=1)
    side = run_race(exhibit(name), plan, ("before",)).before
    return side.seconds_to_hit if side.seconds_to_hit is not None else math.inf


def show(took: list[float], seconds: float) -> str:
    """A cell: the median, and how many of the seeds hit."""
    middle = median(took)
    hits = sum(time < math.inf for time in took)
    return (f"{middle:.2f}" if middle < math.inf else f"> {seconds:g}") + f" ({hits}/{len(took)})"


def run(report: Report, quick: bool, seconds: float | None = None) -> None:
    """Measure, print, and keep."""
    seeds, seconds = SEEDS[:1] if quick else SEEDS, seconds or (1.0 if quick else SECONDS)
    took = {name: {how: [first_hit(name, how, seed, seconds) for seed in seeds] for how in HOWS}
            for name in FORCED}
    report.table(["race", *HOWS], [
        [name, *(show(ways[how], seconds) for how in HOWS)] for name, ways in took.items()])
    report.results["first_hit"] = {"unit": "s", "seeds": list(seeds), "seconds": seconds, "races": {
        name: {how: [time if time < math.inf else None for time in times]
               for how, times in ways.items()} for name, ways in took.items()}}
