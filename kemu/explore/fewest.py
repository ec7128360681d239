"""The same failure with the fewest preemptions: search for it, schedules with fewer first.

A schedule that was drawn at random stops CPUs at many places, and a loop that polls is stopped at each
turn.  To leave out one stop at a time does not reduce it: the next turn takes its place.  The search
knows nothing of that schedule.  It holds every schedule with no preemption, then with one, and so on
(exhaustive), so the first that fails has as few as any.  One machine holds them all, up to the first
failure.

Linux: none; kemu's own.
Locks: none.  Callers: minimise.
"""

from __future__ import annotations

from kemu.explore.reduced import every_schedule
from kemu.explore.trials import Trials, hold_trials
from kemu.harness.race import Race

MOST = 3                # preemptions; a schedule that needs more is shortened without a search
SCHEDULES = 2_000       # at most so many are held,
SECONDS = 20.0          # and at most so long


def fewest(race: Race, side: str, below: int, memory: str) -> Trials:
    """Search for a failure with less than ``below`` preemptions, at least one.

    The trials end at the first failure, which may be any, or at a bound.  Each is audited.
    """
    return hold_trials(race, side, every_schedule(min(MOST, below - 1), memory),
                       schedules=SCHEDULES, seconds=SECONDS, memory=memory)
