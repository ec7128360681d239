"""Run a race under the chooser: --how random, pct, exhaustive.

Each side is searched up to the first hit, by one machine or by several side by side (jobs).  A
hit is what it is elsewhere: an invariant that does not hold, a panic, an actor that sleeps for
ever; and a deadlock, which the chooser finds when it forms.

A machine is audited after every tenth schedule, as in the other ways to run a race, and at
the end.  If an audit fails, the schedules since the one before are held again, each with an
audit of its own, to find the one that broke the machine.

Locks: none.  Callers: cli/race, cli/options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kemu import native
from kemu.errors import UsageError, refuse
from kemu.explore.draw import drawing
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.jobs import Limits, SearchJobs
from kemu.explore.minimise import minimise
from kemu.explore.plan import Plan
from kemu.explore.reduced import every_schedule
from kemu.explore.schedule import Schedule
from kemu.explore.strategy import Pct, Random, Several, Strategy
from kemu.explore.trials import Trials, hold_trials
from kemu.harness import doubts
from kemu.harness.findings import Finding, Kind, is_hit, why_not
from kemu.harness.plan import MAX_JOBS
from kemu.harness.race import MAX_PREEMPTIONS, MEMORY, Race
from kemu.harness.referee import AUDIT_EVERY
from kemu.harness.runner import Interrupted, Progress
from kemu.harness.sides import HIT
from kemu.harness.verdict import Outcome, Side
from kemu.machine.arguments import MAX_SECONDS, check_int, check_seconds

HOWS = ("random", "pct", "exhaustive")
MAX_SCHEDULES = 1 << 40
MAX_DEPTH = 10
A_DEPENDENCY = ("a load returned an older value.  If its address depends on an earlier load of the same CPU, "
                "real hardware orders the two, and kemu cannot see that: write smp_load_acquire() for the "
                "earlier load")
SECONDS = 10.0          # of a search that is not exhaustive, unless schedules are given


@dataclass(frozen=True)
class Search:
    """How to search.  Raises UsageError for a wrong argument.

    ``schedules``, ``seconds``: at most so many, so long, for each side.  ``seed``: of random
    and pct; the same seed is the same schedules.  ``depth``: of the bugs that pct looks for.
    ``preemptions``: at most so many in a schedule of exhaustive; None: as the race says.
    ``memory``: when a CPU sees what another stores: "sc", at once; "tso", as on x86; "weak", as on
    ARM64; None: as the race says.  ``reduce``: of the schedules that differ only in the order of
    independent steps, exhaustive holds one at least, and not each; under "tso" and "weak" it always
    holds each.  ``jobs``: machines side by side, of random and pct; None: one on each host core that this
    process may use, if there are schedules enough.  The first hit is the same for each number of them.
    """

    how: str
    schedules: int | None = None
    seconds: float | None = None
    seed: int = 1
    depth: int = 3
    preemptions: int | None = None
    memory: str | None = None
    reduce: bool = True
    jobs: int | None = None

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise UsageError(f"how={self.how!r}: one of {', '.join(HOWS)}")
        if self.memory is not None and self.memory not in MEMORY:
            raise UsageError(f"memory={self.memory!r}: one of {', '.join(MEMORY)}")
        if self.schedules is not None:
            check_int("schedules", self.schedules, 1, MAX_SCHEDULES, "of each side")
        if self.seconds is not None and not check_seconds("seconds", self.seconds):
            raise refuse("seconds", self.seconds, f"more than 0, and at most {MAX_SECONDS:.0f}")
        check_int("depth", self.depth, 1, MAX_DEPTH, "of the bugs that pct looks for")
        if self.preemptions is not None:
            check_int("preemptions", self.preemptions, 0, MAX_PREEMPTIONS, "in a schedule")
        if self.jobs is not None:
            check_int("jobs", self.jobs, 1, MAX_JOBS, "a number of machines")
            if self.jobs > 1 and self.how == "exhaustive":
                raise refuse("jobs", self.jobs, "1 with exhaustive: which schedules it holds follows from "
                             "those before, so machines cannot share them.  With random and pct they can")

    def model(self, race: Race) -> str:
        """The memory model: what was asked for, otherwise what the race needs."""
        return self.memory or race.memory

    def strategy(self, race: Race) -> Strategy:
        """A fresh one."""
        if self.how == "exhaustive":
            bound = race.preemptions if self.preemptions is None else self.preemptions
            return every_schedule(bound, self.model(race), self.reduce)
        return Random(self.seed) if self.how == "random" else Pct(self.seed, race.cpus, self.depth,
                                                                          self.model(race))

    @property
    def max_seconds(self) -> float:
        if self.seconds is not None:
            return self.seconds
        return MAX_SECONDS if self.schedules is not None or self.how == "exhaustive" else SECONDS

    def limits(self, race: Race) -> Limits:
        """Of each side."""
        return Limits(self.jobs, self.schedules or MAX_SCHEDULES, self.max_seconds,
                      race.audit_every or AUDIT_EVERY, self.model(race))

    @property
    def options(self) -> str:
        """As `kemu race` takes it."""
        given: dict[str, object] = {"schedules": self.schedules, "seconds": self.seconds,
                                    "memory": self.memory, "jobs": self.jobs}
        if self.how == "exhaustive":
            given["preemptions"] = self.preemptions
        else:
            given["seed"] = self.seed
            given["depth"] = self.depth if self.how == "pct" else None
        return f"--how {self.how}" + "".join(
            f" --{name} {value}" for name, value in given.items() if value is not None) \
            + " --no-reduce" * (not self.reduce)


def explore_race(race: Race, search: Search, sides: Sequence[str] | None = None,
                 progress: Progress | None = None) -> Outcome:
    """Search the race's sides, all by default, and judge them.

    Raises UsageError for a race that cannot run and for a mistake in its file, and
    Interrupted, with the outcome so far, if Ctrl-C ends it.
    """
    race.check()
    names = race.sides if sides is None else sides
    outcome = Outcome(race.name, search.how, search.seed, title=race.title, options=search.options)
    for name in names:
        side = Side(name, search.how, expect=race.side(name).expect)
        outcome.sides[name] = side
        try:
            _explore_side(race, search, side, progress or (lambda side: None))
        except KeyboardInterrupt:
            side.doubts.append("Ctrl-C ended it")
            raise Interrupted(outcome) from None
        if progress:
            progress(side)
    return outcome


def _explore_side(race: Race, search: Search, side: Side, progress: Progress) -> None:
    trials = SearchJobs(race, side, search.strategy(race), search.limits(race), progress).run()
    side.placement = trials.placement
    if trials.finding:
        _record(race, search.model(race), side, trials, trials.finding)
    else:
        side.proof = trials.strategy.proves()
    if trials.strays:
        side.doubts.append(f"{trials.strays} steps were taken while another CPU had the baton: this "
                           "is a bug of kemu")
    left, parted, bound = (trials.strategy.left, trials.strategy.parted, trials.strategy.preemptions) \
        if isinstance(trials.strategy, Exhaustive) else (0, 0, 0)
    if parted and not trials.finding:
        side.doubts.append(f"{parted:,} trials parted from their plan, so what the schedule decides is "
                           "not the whole trial; kemu replay says where a trial parts")
    if left and not trials.finding:
        side.doubts.append(f"the search is not over: at least {left:,} schedules with at most "
                           f"{bound} preemptions were not held")
    if side.hits:
        # The failure that the race names is proof enough; a witness tells that a trial without it counts.
        side.doubts += [f"the override of {name.partition(':')[2]} was never called"
                        for name, calls in trials.called.items() if not calls]
    else:
        doubts.find(race, side, trials.totals, trials.called)


def _record(race: Race, memory: str, side: Side, trials: Trials, finding: Finding) -> None:
    """The failure, as a hit or as a doubt, with its diagram and its schedule."""
    if side.expect != HIT or is_hit(race, side.side, finding):
        side.hits, side.stopped_at_hit = 1, True
        side.seconds_to_hit, side.schedules_to_hit = round(side.seconds, 3), trials.number
    else:
        side.doubts.append(why_not(race, side.side, finding))
    side.failure, side.where = finding.text, trials.where
    if finding.kind is Kind.AUDIT and len(trials.unaudited) > 1:
        found = _trial_that_broke_it(race, side.side, trials.unaudited, memory)
        if not found:
            side.doubts.append(f"the audit failed after {len(trials.unaudited)} schedules; after none "
                               "of them did it fail when each was held again")
            return
        trials, finding = found, found.finding or finding
        side.failure, side.where = finding.text, trials.where
    shortest, early = minimise(race, side.side, trials.record, finding.text, memory)
    if early:
        side.notes.append(early)
    if any(step.way == native.WAY_OLDER for step in shortest.record.steps):
        side.notes.append(A_DEPENDENCY)
    side.diagram = drawing(shortest.record, shortest.text)
    side.schedule = Schedule.of(race, side.side, shortest.record, shortest.text, memory=memory).text


def _trial_that_broke_it(race: Race, side: str, plans: Sequence[Plan],
                         memory: str) -> Trials | None:
    """The first of these schedules that fails when each is audited; None if none does."""
    found = hold_trials(race, side, Several(plans), schedules=len(plans), memory=memory)
    return found if found.finding else None
