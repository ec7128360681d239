"""Pictures of what was measured: percentiles of each measure, and the heat map of all pairs.

Needs matplotlib (``pip install 'kemu[plot]'``); the ending of the file says which format.

Locks: none.  Callers: the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kemu.errors import UsageError
from kemu.latency.sampler import PairRun
from kemu.latency.topology import in_order_of_nearness

SUFFIXES = (".png", ".svg", ".pdf")
ROW = 3                                 # heat maps side by side
TAILS = (0, 50, 90, 99, 99.9, 99.99)    # the ticks of the percentile axis


def check_plot(path: Path) -> None:
    """Raises UsageError, before the run, if the file's format or matplotlib is missing."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot {path}: the name must end with one of {', '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'kemu[plot]'") from error


def plot(runs: Sequence[PairRun], path: Path, title: str) -> None:
    """Write the picture: with several pairs a heat map for each measure, otherwise percentiles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    if len(runs) > 1:
        _heat_maps(figure, runs)
    else:
        _percentiles(figure.subplots(), runs[0])
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=120)


def _percentiles(axes: Any, run: PairRun) -> None:
    for one in filter(lambda one: one.count, run.series.values()):
        steps = [(item.percentile_level_iterated_to, item.value_iterated_to / 1e3)
                 for item in one.histogram.get_percentile_iterator(5)]
        steps = [(percent, value) for percent, value in steps if percent < 100]
        axes.plot([100 / (100 - percent) for percent, _ in steps], [value for _, value in steps],
                  label=one.measure)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([100 / (100 - percent) for percent in TAILS], [f"p{percent:g}" for percent in TAILS])
    axes.minorticks_off()
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency, us")
    axes.grid(True, alpha=.3)
    axes.legend()


def _heat_maps(figure: Any, runs: Sequence[PairRun]) -> None:
    """A map for each measure, ROW of them side by side."""
    measures = [name for name in runs[0].series if runs[0].series[name].count]
    columns = min(len(measures), ROW)
    rows = -(-len(measures) // columns)
    figure.set_size_inches(4.5 * columns, 4 * rows + .5)
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes in grid[len(measures):]:
        axes.set_axis_off()
    for axes, measure in zip(grid, measures, strict=False):
        _heat_map(figure, axes, runs, measure)


def _heat_map(figure: Any, axes: Any, runs: Sequence[PairRun], measure: str) -> None:
    cores = in_order_of_nearness(run.cores for run in runs)
    cells = [[float("nan")] * len(cores) for _ in cores]
    for run in runs:
        if measure in run.series and run.series[measure].count:
            a, b = (cores.index(core) for core in run.cores)
            cells[a][b] = cells[b][a] = run.series[measure].percentile(50) / 1e3
    image = axes.imshow(cells, cmap="viridis")
    axes.set_xticks(range(len(cores)), cores)
    axes.set_yticks(range(len(cores)), cores)
    axes.set_title(f"{measure}, p50 in us", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=.8)
