"""What was measured, as text: tables, histograms, and the matrix of all pairs.

Times are printed in microseconds with three significant digits.  A histogram's bins grow
in steps of 1, 2, 5, so that a tail of milliseconds fits beside a body of microseconds; with
a limit they are one microsecond each, and an overflow, as in cyclictest.

Locks: none.  Callers: the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.table import Table
from rich.text import Text

from kemu.latency.measures import MEASURES
from kemu.latency.sampler import PERCENTILES, PairRun, Series
from kemu.latency.topology import in_order_of_nearness, near

UNITS = {"": 1e3, "ms": 1e6, "s": 1e9}
BAR = 40                                    # columns of the longest bar
HEAT = ("green", "chartreuse3", "yellow", "dark_orange", "red")


def us(ns: float | None) -> str:
    """Nanoseconds as microseconds, with three digits that mean something; from 10 ms on with a unit."""
    if ns is None:
        return "-"
    for scale, unit, digits in ((1e10, "s", 1), (1e9, "s", 2), (1e7, "ms", 0), (1e5, "", 0), (1e4, "", 1)):
        if ns >= scale:
            return f"{ns / UNITS[unit]:,.{digits}f}{unit}"
    return f"{ns / 1e3:.2f}"


def table(series: Sequence[Series]) -> Table:
    """A line for each measure of each pair."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("measure", "cores"):
        shown.add_column(name, no_wrap=True)
    for name in ("n", "min", *(f"p{percent:g}" for percent in PERCENTILES), "max", "/ floor"):
        shown.add_column(name, justify="right", no_wrap=True)
    for one in filter(lambda one: one.count, series):
        times = [one.histogram.get_min_value(), *map(one.percentile, PERCENTILES),
                 one.histogram.get_max_value()]
        over = f"{one.over_floor:,.1f}" if one.over_floor else "-"
        shown.add_row(one.measure, f"{one.cores[0]}-{one.cores[1]}", f"{one.count:,}",
                      *map(us, times), over)
    return shown


def live_line(run: PairRun) -> str:
    """A pair while it is measured, in cyclictest's words: last, average, longest."""
    done = [one for one in run.series.values() if one.count]
    return f"cores {run.cores[0]}-{run.cores[1]}  " + "  ".join(
        f"{one.measure} n:{one.count} act:{us(one.last)} avg:{us(one.histogram.get_mean_value())} "
        f"max:{us(one.histogram.get_max_value())}" for one in done[-1:])


def notes(run: PairRun, interval_us: int) -> Iterator[str]:
    """What a reader must know to read the figures of a pair."""
    shortest = min((one.percentile(50) for one in run.series.values() if one.count), default=0)
    if shortest:
        yield (f"{near(*run.cores).label}; reading the clock took {run.overhead_ns:.0f} ns "
               f"({run.overhead_ns / shortest:.1%} of the shortest p50), which is taken out")
    if run.crowded:
        yield (f"another machine of kemu held core {', '.join(map(str, run.crowded))} when this one "
               "booted, so its CPUs there do not poll: these are the times of CPUs that sleep")
    late = sum(one.late for one in run.series.values())
    if late:
        yield (f"{late:,} samples began late, since the one before took longer than {interval_us} us; the "
               "percentiles count the samples that should have begun meanwhile (coordinated omission)")
    if run.broke:
        yield f"{run.broke.measure} took {us(run.broke.last)} us and broke the limit: the run ended there"


def histogram(series: Series, limit_us: int | None = None) -> str:
    """The samples of one measure as bars."""
    edges = _edges(series, limit_us)
    counts = [0] * (len(edges) - 1)
    overflow = 0
    for value, count in _recorded(series):
        if value >= edges[-1]:
            overflow += count
        else:
            counts[next(i for i, edge in enumerate(edges[1:]) if value < edge)] += count
    longest = max([*counts, overflow, 1])
    width = len(us(edges[-1]))
    lines = [f"{series.measure}, cores {series.cores[0]}-{series.cores[1]}: samples by microseconds"]
    for (low, high), count in zip(pairwise(edges), counts, strict=True):
        bar = "#" * round(BAR * count / longest) or ("." if count else "")
        lines.append(f"  {us(low):>{width}} - {us(high):>{width}}  {count:>9,}  {bar}".rstrip())
    if limit_us is not None:
        lines.append(f"  {us(edges[-1]):>{width}} and above: {overflow:,}")
    return "\n".join(lines)


def _recorded(series: Series) -> Iterator[tuple[int, int]]:
    for item in series.histogram.get_recorded_iterator():
        yield item.value_iterated_to, item.count_added_in_this_iter_step


def _edges(series: Series, limit_us: int | None) -> list[int]:
    """The borders of the bins, in nanoseconds."""
    if limit_us is not None:
        return [1000 * us for us in range(limit_us + 1)]
    low, high = series.histogram.get_min_value(), series.histogram.get_max_value()
    steps = [factor * 10 ** power for power in range(13) for factor in (1, 2, 5)]
    first = max(i for i, step in enumerate(steps) if step <= max(low, 1))
    last = next((i for i, step in enumerate(steps) if step > high), len(steps) - 1)
    return steps[first:last + 1]


def matrix(runs: Sequence[PairRun], measure: str) -> Table:
    """The p50 of one measure for all pairs of cores, with the floor of each pair below it.

    The p50 are coloured from the shortest to the longest.  Cores that are near each other are
    neighbours.
    """
    p50 = {run.cores: run.series[measure].percentile(50) for run in runs
           if measure in run.series and run.series[measure].count}
    floors = {cores: run.series[measure].floor for run in runs for cores in [run.cores] if cores in p50}
    order = in_order_of_nearness(p50)
    shown = Table(box=None, pad_edge=False, header_style="bold", title_justify="left",
                  title=f"{measure}: p50 in us ({MEASURES[measure].what}), and below it the floor in C")
    shown.add_column("core", no_wrap=True)
    for core in order:
        shown.add_column(str(core), justify="right", no_wrap=True)
    for a in order:
        shown.add_row(str(a), *(_cell(_of_pair(p50, a, b), list(p50.values())) for b in order))
        shown.add_row("floor", *(Text(us(_of_pair(floors, a, b)), style="dim") for b in order))
    return shown


def _of_pair(values: Mapping[tuple[int, int], float | None], a: int, b: int) -> float | None:
    return values.get((a, b), values.get((b, a)))


def _cell(value: float | None, values: Sequence[float]) -> Text:
    if value is None:
        return Text("-")
    low, high = min(values), max(values)
    share = (value - low) / (high - low) if high > low else 0
    return Text(us(value), style=HEAT[min(int(share * len(HEAT)), len(HEAT) - 1)])


def as_json(runs: Sequence[PairRun], **more: Any) -> dict[str, Any]:
    """All figures as a dict, in nanoseconds.  ``more`` has the options and the host."""
    return {**more, "series": [_series_json(one, run, more) for run in runs
                               for one in run.series.values() if one.count]}


def _series_json(one: Series, run: PairRun, plan: dict[str, Any]) -> dict[str, Any]:
    return {"measure": one.measure, "cores": list(one.cores), "near": one.near.label,
            "interval_us": plan["interval_us"], "poll_us": plan["poll_us"], "n": one.count,
            "min_ns": one.histogram.get_min_value(), "mean_ns": one.histogram.get_mean_value(),
            "max_ns": one.histogram.get_max_value(),
            "percentiles_ns": {f"p{percent:g}": one.percentile(percent) for percent in PERCENTILES},
            "floor_ns": one.floor, "overhead_ns": run.overhead_ns, "late": one.late,
            "broke": one.broke, "rounds_ns": one.rounds,
            "histogram": one.histogram.encode().decode()}
