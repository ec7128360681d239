"""How many schedules, and how long, until pct finds each race of the register.

The before side only.  The search chooses among all operations, and uses no point and no script of the
race.  The time is from the boot of the first machine to the failure, without the search for a
shorter schedule that `kemu race` makes then.  The number of the schedule is the same for each number of
machines; the time is not.
"""

from __future__ import annotations

from typing import Any

from bench.stats import Report
from kemu.explore.jobs import SearchJobs
from kemu.explore.run import Search
from kemu.harness.findings import is_hit
from kemu.harness.verdict import Side
from kemu.races import EXHIBITS, exhibit

TITLE = "Schedules and seconds until pct hits, no points used"

SECONDS = 10.0
SEED = 1
DEPTH = 3
DEPTHS = {"parked-store-collides": 4}       # it needs three preemptions


def first_hit(name: str, seconds: float) -> dict[str, Any]:
    """The number of the schedule that hit, and after how long; otherwise, what came instead."""
    race, side = exhibit(name), Side("before", "pct")
    search = Search("pct", seconds=seconds, seed=SEED, depth=DEPTHS.get(name, DEPTH))
    trials = SearchJobs(race, side, search.strategy(race), search.limits(race), lambda side: None).run()
    hit = trials.finding is not None and is_hit(race, "before", trials.finding)
    instead = "" if hit else trials.text.partition("\n")[0] or f"no hit in {seconds:g} s"
    return {"depth": search.depth, "schedule": trials.number if hit else None, "held": side.trials,
            "seconds": side.seconds, "instead": instead}


def run(report: Report, quick: bool, seconds: float | None = None) -> None:
    """Measure, print, and keep."""
    seconds = seconds or (2.0 if quick else SECONDS)
    found = {name: first_hit(name, seconds) for name in EXHIBITS}
    report.table(["race", "depth", "schedule", "seconds", "what came instead"], [
        [name, str(one["depth"]), str(one["schedule"] or "-"), f"{one['seconds']:.1f}", one["instead"]]
        for name, one in found.items()])
    hits = sum(one["schedule"] is not None for one in found.values())
    report.say(f"  {hits} of {len(found)} before sides hit\n")
    report.results["search_hits"] = {"seed": SEED, "races": found}
