"""Search one side on several machines side by side, and find what one machine would have found.

A schedule of random and of pct is known by its number: seed and number say all of it.  Of N
machines each holds every N-th schedule.  For pct, one machine first holds those that show how many
choices a trial has (strategy.MEASURED), because the others are drawn for that.

The failure that counts is the one with the lowest number.  So when a machine has failed, the
others go on until they have passed that number, and no further:

    Holder.last     <- trials up to the lowest number that has failed: by the thread of the failed machine

Which schedules fail is then the same for each number of machines, and so is the first of them.
Three things are not.  How many trials the others held beyond it.  Where the time ended a
search.  Which trial is the first that an audit fails after, since each machine is audited after every
so many trials of its own.

An exhaustive search has one machine: which schedules it holds follows from those before.

Linux: none; kemu's own.
Locks: SearchJobs.lock, around what the threads have found.  Callers: run.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable

from kemu.explore.strategy import MEASURED, Drawn, Pct, Strategy
from kemu.explore.trials import Holder, Trials
from kemu.harness.race import Race
from kemu.harness.side_by_side import run_side_by_side
from kemu.harness.tally import Totals
from kemu.harness.verdict import Side
from kemu.machine.placement import machines_that_fit

WORTH_A_MACHINE = 1_000 # schedules; for fewer, the boot of another machine takes longer than it saves


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of the search of one side."""

    jobs: int | None        # machines side by side; None: as many as are worth it
    schedules: int
    seconds: float
    audit_every: int
    memory: str


class SearchJobs:
    """The search of one side."""

    def __init__(self, race: Race, side: Side, strategy: Strategy, limits: Limits,
                 progress: Callable[[Side], None]) -> None:
        """progress(side) is called now and then, with what was counted until then."""
        self.race, self.side, self.strategy, self.limits = race, side, strategy, limits
        self.progress = progress
        self.began: float = time.monotonic()
        self.stop: threading.Event = threading.Event()
        self.lock: threading.Lock = threading.Lock()
        self.holders: list[Holder] = []
        self.found: list[tuple[int, Trials]] = []   # the number of the last schedule, and what came of all
        self.jobs: int = self._jobs()
        self.machines: int = 1                      # that ran side by side

    def run(self) -> Trials:
        """Hold the schedules.  What came of them all; the finding and the record are the lowest number's.

        Raises UsageError for a mistake in the race's file.  After KeyboardInterrupt too, the side has
        what was counted.
        """
        try:
            if self.jobs > 1 and isinstance(self.strategy, Pct):
                self._hold([self.strategy], min(MEASURED, self.limits.schedules))
                self.strategy = self.found[0][1].strategy
            if not any(trials.finding for _, trials in self.found):
                self._hold_side_by_side()
        finally:
            self.count()
        return self._merged()

    def count(self) -> None:
        """Say in the side what was counted until now."""
        self.side.trials = sum(holder.trials for holder in self.holders)
        self.side.witnessed = sum(holder.counted for holder in self.holders)
        self.side.audits = sum(holder.audits for holder in self.holders)
        self.side.seconds = time.monotonic() - self.began
        self.side.machines = self.machines

    def _jobs(self) -> int:
        if not isinstance(self.strategy, Drawn):
            return 1
        worth = max(1, self.limits.schedules // WORTH_A_MACHINE)
        return self.limits.jobs or min(machines_that_fit(1), worth)

    def _hold_side_by_side(self) -> None:
        left = self.limits.schedules - sum(trials.schedules for _, trials in self.found)
        jobs = min(self.jobs, left)
        if jobs == 1 or not isinstance(self.strategy, Drawn):
            self._hold([self.strategy], left)
        elif jobs:
            self._hold([self.strategy.part(job, jobs) for job in range(jobs)], left)

    def _hold(self, parts: list[Strategy], schedules: int) -> None:
        """Hold so many schedules, each part on a machine of its own."""
        seconds = max(0.0, self.began + self.limits.seconds - time.monotonic())
        alone = len(parts) == 1
        each, more = divmod(schedules, len(parts))
        some = [Holder(self.race, self.side.side, part, schedules=each + (job < more), seconds=seconds,
                       audit_every=self.limits.audit_every, memory=self.limits.memory, stop=self.stop,
                       progress=self._tell if alone else lambda: None) for job, part in enumerate(parts)]
        self.holders += some
        self.machines = len(some)
        run_side_by_side([functools.partial(self._one, holder) for holder in some], self._tell, self.stop)

    def _one(self, holder: Holder) -> None:
        trials = holder.run()
        with self.lock:
            self.found.append((_number(holder, trials), trials))
            failed = [number for number, one in self.found if one.finding]
            for other in self.holders if failed else []:
                if isinstance(other.strategy, Drawn):
                    other.last = max(1, other.strategy.trials_up_to(min(failed)))

    def _tell(self) -> None:
        self.count()
        self.progress(self.side)

    def _merged(self) -> Trials:
        """The sum of what was found."""
        number, first = min(self.found, key=lambda one: (one[1].finding is None, one[0]))
        every = [trials for _, trials in self.found]
        totals, called = Totals(self.race), dict.fromkeys(first.called, 0)
        for trials in every:
            totals.merge(trials.totals)
            called = {name: calls + called[name] for name, calls in trials.called.items()}
        return dataclasses.replace(
            first, number=number, totals=totals, called=called, strategy=self._learned(every),
            schedules=sum(trials.schedules for trials in every),
            counted=sum(trials.counted for trials in every), audits=sum(trials.audits for trials in every),
            strays=sum(trials.strays for trials in every))

    def _learned(self, every: list[Trials]) -> Strategy:
        """The strategy, with what all machines have learned."""
        if len(every) == 1 or not isinstance(self.strategy, Drawn):
            return every[-1].strategy
        for part in (trials.strategy for trials in every if trials.strategy is not self.strategy):
            assert isinstance(part, Drawn)
            self.strategy.add(part)
        return self.strategy


def _number(holder: Holder, trials: Trials) -> int:
    """The number of the last schedule that it held."""
    if isinstance(holder.strategy, Drawn):
        return holder.strategy.number_of(trials.schedules)
    return trials.schedules
