"""Does every script force its race on a busy host?  Two busy loops run beside all trials.

A race that only a search hits has no script, and is left out.

    python -m tests.races.forced_busy [TRIALS [NAME ...]]       (also: make forced-busy)

Prints a line for each side: how many of the trials (300) counted, and how many hit, beside the
reasons if a side proves nothing.  Exits with 1 unless each before side hits in every trial, and
each after side counts every trial and hits in none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kemu.harness.runner import Plan, run_race
from kemu.harness.sides import HIT
from kemu.harness.verdict import Side, Verdict
from kemu.races import EXHIBITS, exhibit

LOOPS = 2
# A loop ends with its parent, also if that was killed.
BUSY = [sys.executable, "-c", "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"]


@contextmanager
def busy_loops() -> Iterator[None]:
    """As many processes that never sleep, for the length of a block."""
    loops = [subprocess.Popen(BUSY) for _ in range(LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def as_wanted(side: Side, trials: int) -> bool:
    """Whether every trial counted, and hit on the before side only."""
    hits = trials if side.expect == HIT else 0
    return (side.trials, side.witnessed, side.hits) == (trials, trials, hits) \
        and side.verdict in (Verdict.HIT, Verdict.CLEAN)


def force(name: str, trials: int) -> bool:
    """Run both sides of an exhibit, and print a line for each.  Returns whether both are as wanted."""
    right = True
    for side in run_race(exhibit(name), Plan("forced", trials=trials, enough_hits=trials)).sides.values():
        said = "" if as_wanted(side, trials) else "   NOT AS WANTED: " + "; ".join(side.doubts + side.holds)
        print(f"{name:<26}{side.side:<8}{side.hits:>5} of {side.trials} hit, {side.witnessed} counted, "
              f"{side.seconds:5.0f} s  {side.verdict.value}{said}", flush=True)
        right = right and not said
    return right


def main(trials: str = "300", *names: str) -> int:
    scripted = [name for name in EXHIBITS if exhibit(name).holds]
    with busy_loops():
        right = [force(name, int(trials)) for name in names or scripted]
    print(f"{sum(right)} of {len(right)} races forced as their scripts say, beside {LOOPS} busy loops")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
