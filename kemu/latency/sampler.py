"""Measure pairs of host cores: a machine for each pair, rounds of samples, the floor beside them.

A round is a batch of every wanted measure, then a batch of bare hand-overs between the
same cores (native.handover): so a busy moment of the host hits all of them.  Percentiles
come from an HdrHistogram; the median of each round is kept too, for compare.

A sample spans two readings of the clock, so it holds the cost of one.  That cost is measured
on each machine (measures.overhead) and taken out of each sample.

Coordinated omission: with an interval, a sample that takes longer than the interval
delays the next ones.  The histogram then also gets the samples that should have begun
meanwhile (HdrHistogram's record_corrected_value); ``late`` counts the delayed ones.

Locks: none.  Callers: the command line; bench.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from kemu import native
from kemu.errors import UsageError
from kemu.latency.measures import MEASURES, batch, overhead
from kemu.latency.topology import Near, near
from kemu.machine.machine import Machine
from kemu.trace.reader import Trace

WARM_UP = 20
BATCH = 200                     # samples of one measure in one round
BATCH_NS = 200_000_000          # with an interval: a batch takes about so long
HIGHEST_NS = 3_600_000_000_000  # an hour; a longer sample counts as one
DIGITS = 3                      # significant, of a percentile
FLOOR_TRIPS = 200
FLOOR_BUDGET_NS = 100_000_000
TIMEOUT_SECONDS = 120.0
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True)
class Plan:
    """What to measure on each pair, and for how long."""

    measures: tuple[str, ...] = tuple(MEASURES)
    seconds: float = 5.0                # of each pair
    interval_us: int = 0                # between the begins of two samples; 0: back to back
    breaktrace_us: float = 0            # end at the first sample above this; 0: never
    poll_us: int = 200                  # how long an idle CPU polls before it sleeps

    def __post_init__(self) -> None:
        unknown = [name for name in self.measures if name not in MEASURES]
        if unknown or not self.measures:
            raise UsageError(f"measures={self.measures!r}: give one or more of {', '.join(MEASURES)}")

    @property
    def batch(self) -> int:
        """How many samples a batch takes."""
        if not self.interval_us:
            return BATCH
        return max(1, min(BATCH, BATCH_NS // (self.interval_us * 1000)))


@dataclass
class Series:
    """The samples of one measure on one pair of cores, in nanoseconds."""

    measure: str
    cores: tuple[int, int]
    near: Near
    interval_ns: int = 0
    histogram: Any = field(default_factory=lambda: HdrHistogram(1, HIGHEST_NS, DIGITS), repr=False)
    rounds: list[float] = field(default_factory=list, repr=False)      # the median of each round
    floors: list[float] = field(default_factory=list, repr=False)      # the floor's median of each round
    last: int = 0
    late: int = 0
    broke: bool = False                 # the last sample was above --breaktrace

    def add(self, samples: list[int], late: int, overhead_ns: float) -> None:
        """A batch has been taken; what reading the clock cost is taken out of each sample."""
        net = [max(ns - round(overhead_ns), 1) for ns in samples]
        for ns in net:
            value = min(ns, HIGHEST_NS)
            if self.interval_ns:
                self.histogram.record_corrected_value(value, self.interval_ns)
            else:
                self.histogram.record_value(value)
        self.rounds.append(median(net))
        self.last = net[-1]
        self.late += late

    @property
    def count(self) -> int:
        return int(self.histogram.get_total_count())

    def percentile(self, percent: float) -> float:
        """In nanoseconds, with DIGITS significant digits."""
        return float(self.histogram.get_value_at_percentile(percent))

    @property
    def floor(self) -> float | None:
        """The p50 of as many bare hand-overs, in nanoseconds; None for one core twice."""
        return median(self.floors) if self.floors else None

    @property
    def over_floor(self) -> float | None:
        """The p50 divided by the p50 of the floor."""
        return self.percentile(50) / self.floor if self.floor else None


@dataclass
class PairRun:
    """What was measured on one pair of cores."""

    cores: tuple[int, int]
    overhead_ns: float = 0.0            # what reading the clock cost; taken out of each sample
    crowded: list[int] = field(default_factory=list)    # cores that another machine of kemu holds too
    series: dict[str, Series] = field(default_factory=dict)
    trace: Trace | None = field(default=None, repr=False)       # if a sample broke the limit

    @property
    def broke(self) -> Series | None:
        """The series whose last sample was above the limit."""
        return next((series for series in self.series.values() if series.broke), None)


Progress = Callable[[PairRun], None]


def measure_pairs(pairs: Iterable[tuple[int, int]], plan: Plan,
                  progress: Progress = lambda run: None) -> Iterator[PairRun]:
    """Measure pair after pair; each run is yielded before it begins and fills as it goes.

    progress is called after each round.  Ends after a pair whose limit was broken.
    """
    for cores in pairs:
        run = PairRun(cores)
        yield run
        _measure(run, plan, progress)
        if run.broke:
            return


def _measure(run: PairRun, plan: Plan, progress: Progress) -> None:
    interval_ns = plan.interval_us * 1000
    for name in plan.measures:
        run.series[name] = Series(name, run.cores, near(*run.cores), interval_ns)
    with Machine(2, placement=run.cores, poll_us=plan.poll_us,
                 trace=bool(plan.breaktrace_us)) as machine:
        run.overhead_ns = machine.run(overhead)
        run.crowded = machine.crowded_cores()
        until = time.monotonic() + plan.seconds
        while not run.broke:
            _round(machine, run, plan, interval_ns)
            progress(run)
            if time.monotonic() >= until:
                break
        if run.broke:
            run.trace = machine.trace()


def _round(machine: Machine, run: PairRun, plan: Plan, interval_ns: int) -> None:
    """A batch of each measure, and of the floor."""
    limit_ns = int(plan.breaktrace_us * 1000)
    for name, series in run.series.items():
        samples, late = machine.run(batch, name, WARM_UP, plan.batch, interval_ns, limit_ns,
                                    timeout=TIMEOUT_SECONDS + len(run.series))
        series.add(samples, late, run.overhead_ns)
        series.broke = bool(limit_ns) and samples[-1] > limit_ns
        if series.broke:
            return
    floor = _floor(run.cores, sleeping=not plan.poll_us)
    for name, series in run.series.items():
        if floor is not None:
            series.floors.append(floor * MEASURES[name].handovers / MEASURES["roundtrip"].handovers)


def _floor(cores: tuple[int, int], sleeping: bool) -> float | None:
    if cores[0] == cores[1]:
        return None
    took = native.handover(*cores, FLOOR_TRIPS, FLOOR_BUDGET_NS, sleeping)
    return median(took) if took else None
