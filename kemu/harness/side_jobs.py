"""Run one side of a race on several machines side by side, and add up what they count.

Each machine has a thread of the controller, which only waits, and a seed of its own: the plan's,
and so many more.  The trials of the plan are dealt out.  The side ends when the machines together
have enough hits, or when one of them ends the side for another reason than its time or trials.

    SideJobs.stop   <- set when the side is to end: each machine then ends its trial, and closes

The trials that are under way at the last hit count too.  The interval of the rate takes the run as
one that ended with that hit, so it is exact for one machine, and for several up to one trial each.

One machine runs in the caller's thread.

Linux: none; kemu's own.
Locks: none.  Callers: runner.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable
from itertools import chain

from kemu.harness import doubts
from kemu.harness.plan import Plan
from kemu.harness.race import Race
from kemu.harness.side_by_side import run_side_by_side
from kemu.harness.side_run import SideRun, layout_of
from kemu.harness.sides import HIT
from kemu.harness.tally import Totals
from kemu.harness.verdict import Side
from kemu.machine.placement import machines_that_fit, share


class SideJobs:
    """One side, on so many machines at a time."""

    def __init__(self, race: Race, side: str, plan: Plan, progress: Callable[[Side], None]) -> None:
        self.race = race
        self.plan = plan
        self.progress = progress
        self.stop: threading.Event = threading.Event()
        layout = layout_of(race, max(race.cpus, plan.cpus or 0))
        jobs = plan.jobs or min(machines_that_fit(layout.cores()), plan.max_trials)
        layout = layout.within(share(jobs, layout.cores()))
        self.runs: list[SideRun] = [SideRun(race, side, one, layout, self._is_over, self._tell)
                     for one in deal(plan, jobs)]

    def run(self) -> Side:
        """Run all machines to their end; return the sum.  Raises UsageError for a mistake in the file.

        After KeyboardInterrupt, so_far() has what was counted.
        """
        run_side_by_side([functools.partial(self._one, run) for run in self.runs],
                         lambda: self.progress(self.so_far()), self.stop)
        side, totals = self.so_far(), Totals(self.race)
        called: dict[str, int] = {}
        for run in self.runs:
            totals.merge(run.totals)
            called = {name: calls + called.get(name, 0) for name, calls in run.called.items()}
        doubts.find(self.race, side, totals, called)
        return side

    def so_far(self) -> Side:
        """The sum of what the machines counted."""
        side = merge([run.side for run in self.runs])
        side.stopped_at_hit = self._has_enough_hits()
        return side

    def _one(self, run: SideRun) -> None:
        run.run()
        if run.failed():
            self.stop.set()

    def _is_over(self) -> bool:
        """Whether the side ends for what its machines have found together."""
        return self.stop.is_set() or self._has_enough_hits()

    def _has_enough_hits(self) -> bool:
        sides = [run.side for run in self.runs]
        enough = self.plan.max_hits(sides[0].expect == HIT)
        return enough is not None and sum(side.hits for side in sides) >= enough

    def _tell(self, side: Side) -> None:
        if len(self.runs) == 1:
            self.progress(side)


def deal(plan: Plan, jobs: int) -> list[Plan]:
    """The plan of each of so many machines: a seed of its own, and its share of the trials."""
    jobs = min(jobs, plan.max_trials)
    each, more = divmod(plan.max_trials, jobs)
    return [dataclasses.replace(plan, seed=plan.seed + number, trials=each + (number < more),
                                seconds=plan.max_seconds, jobs=1) for number in range(jobs)]


def merge(sides: list[Side]) -> Side:
    """The sum of several runs of one side.  Its report of a failure is that of the first hit."""
    first = min(sides, key=lambda side: (not side.hits, side.seconds_to_hit or 0, not side.failure))
    return dataclasses.replace(
        first, machines=len(sides),
        trials=sum(side.trials for side in sides), witnessed=sum(side.witnessed for side in sides),
        hits=sum(side.hits for side in sides), audits=sum(side.audits for side in sides),
        seconds=max(side.seconds for side in sides),
        doubts=list(dict.fromkeys(chain.from_iterable(side.doubts for side in sides))),
        notes=list(dict.fromkeys(chain.from_iterable(side.notes for side in sides))))
