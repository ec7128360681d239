"""Which races does jitter find at the grain of an operation, with every point switched off?

    python -m tests.races.points_removed [SECONDS [NAME ...]]       (also: make grain)

Prints a line for each race: how many trials its before side needed for a hit, and in what
time, or that it was not hit in SECONDS (60).  Exits with 1 if a race was not hit.
"""

from __future__ import annotations

import sys

from kemu.harness.runner import Plan, run_race
from kemu.races import FORCED, exhibit


def look_for(name: str, seconds: float) -> bool:
    """Whether the race's before side was hit in that time; says so."""
    plan = Plan("jitter", seconds=seconds, enough_hits=1, grain="ops", points=False)
    side = run_race(exhibit(name), plan, ("before",)).before
    told = f"hit in {side.seconds_to_hit:.1f} s" if side.hits else f"not hit in {side.seconds:.0f} s"
    print(f"{name:<26}{side.trials:>8} trials   {told}", flush=True)
    return bool(side.hits)


def main(seconds: str = "60", *names: str) -> int:
    found = [look_for(name, float(seconds)) for name in names or FORCED]
    print(f"{sum(found)} of {len(found)} races hit, with no points")
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
