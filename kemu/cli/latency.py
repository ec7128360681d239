"""kemu latency: what cyclictest is for timers, for park, unpark and wake-ups.

Callers: the command line.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from kemu.exits import Exit
from kemu.latency import compare as comparing
from kemu.latency import plot as plotting
from kemu.latency import report
from kemu.latency.measures import MEASURES
from kemu.latency.sampler import PairRun, Plan, measure_pairs
from kemu.latency.topology import pairs, parse_cores
from kemu.machine import host
from kemu.machine.placement import usable_cores
from kemu.trace import ftrace

PIPED_SECONDS = 5.0         # between two progress lines where there is no terminal
TRACE_FILE = "latency-trace.txt"

MEASURE_HELP = "; ".join(f"{one.name}: {one.what}" for one in MEASURES.values())


class _Progress:
    """A live line on a terminal, a line now and then elsewhere; on standard error."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.status = console.status("booting") if console.is_terminal else None
        self.told = time.monotonic()
        self.pair = 0

    def __enter__(self) -> _Progress:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status:
            self.status.stop()

    def __call__(self, run: PairRun) -> None:
        line = f"pair {self.pair} of {self.total}  {report.live_line(run)}"
        if self.status:
            self.status.update(line)
        elif time.monotonic() - self.told >= PIPED_SECONDS:
            self.told = time.monotonic()
            self.console.print(line, highlight=False, soft_wrap=True)


@click.command()
@click.option("--cpus", "cores", metavar="LIST", help="Host cores, as in 0,2-4, or all: every pair "
              "of them is measured, the nearest first.  [the first two that are usable]")
@click.option("--measure", "measures", type=click.Choice(list(MEASURES)), multiple=True,
              help="What to measure; may be given again.  [all]  " + MEASURE_HELP)
@click.option("--duration", type=click.FloatRange(0, 86400, min_open=True), default=5.0,
              show_default=True, metavar="SECONDS", help="Of each pair.")
@click.option("--interval", type=click.IntRange(0, 10_000_000), default=0, metavar="US",
              help="Between the begins of two samples.  [back to back]")
@click.option("--histogram", type=click.IntRange(1, 10_000), metavar="US",
              help="Bins of one microsecond up to this, as cyclictest has them.  [1, 2, 5, 10, ...]")
@click.option("--breaktrace", type=click.FloatRange(0, min_open=True), metavar="US",
              help="End at the first sample above this, and keep the trace.")
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), default=TRACE_FILE,
              show_default=True, help="Where --breaktrace writes the trace, as ftrace's text.")
@click.option("--poll", type=click.IntRange(0, 1_000_000), default=200, show_default=True, metavar="US",
              help="How long an idle CPU polls before it sleeps; 0: never.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a picture: .png, .svg or .pdf (needs kemu[plot]).")
@click.option("--compare", type=click.Path(dir_okay=False, exists=True, path_type=Path), metavar="FILE",
              help="A run that --json saved: print the ratios of the medians.")
@click.option("--json", "json_to", metavar="FILE|-", help="All figures as one JSON object.")
def latency(cores: str | None, measures: tuple[str, ...], duration: float, interval: int,
            breaktrace: float | None, poll: int, plot: Path | None, compare: Path | None,
            json_to: str | None, trace: Path, histogram: int | None) -> Exit:
    """Measure park, unpark, wake-ups, completions, stoppers and IPIs between host cores.

    Two emulated CPUs are booted on each pair of cores.  A round takes a batch of each measure,
    and of bare hand-overs between the same cores in C: the floor.  "/ floor" is how many times
    the floor's p50 the p50 is.

    \b
    examples:
      kemu latency                          every measure, between two cores
      kemu latency --cpus all --measure unpark --plot matrix.svg
                                            all pairs of cores, as table and heat map
      kemu latency --interval 1000 --breaktrace 200
                                            until a sample takes more than 200 us
      kemu latency --json before.json; kemu latency --compare before.json
    """
    plan = Plan(tuple(dict.fromkeys(measures)) or tuple(MEASURES), duration, interval, breaktrace or 0,
                poll)
    chosen = pairs(parse_cores(cores) if cores else usable_cores()[:2])
    saved = comparing.load_run(compare) if compare else None
    if plot:
        plotting.check_plot(plot)
    for path in filter(lambda path: path and path != "-", (plot, json_to)):
        Path(str(path)).write_text("")      # a file that cannot be written is told before the run
    answers = Console(stderr=json_to == "-")
    runs, interrupted = _run(chosen, plan)
    said = report.as_json(runs, schema=comparing.SCHEMA, host=host.describe(), seconds=duration,
                          interval_us=interval, poll_us=poll, interrupted=interrupted)
    _show(answers, runs, plan, histogram, said["host"])
    if plot and any(one.count for run in runs for one in run.series.values()):
        plotting.plot(runs, plot, host.headline(said["host"]))
    _write_trace(answers, runs, trace)
    if saved:
        _show_ratios(answers, comparing.compare(said, saved))
    if json_to:
        text = json.dumps(said)
        click.echo(text) if json_to == "-" else Path(json_to).write_text(text + "\n")
    return (Exit.INTERRUPTED if interrupted else
            Exit.UNEXPECTED if any(run.broke for run in runs) else Exit.EXPECTED)


def _run(chosen: list[tuple[int, int]], plan: Plan) -> tuple[list[PairRun], bool]:
    """The runs, and whether Ctrl-C ended them."""
    runs: list[PairRun] = []
    with _Progress(Console(stderr=True), len(chosen)) as progress:
        try:
            for run in measure_pairs(chosen, plan, progress):
                runs.append(run)
                progress.pair = len(runs)
        except KeyboardInterrupt:
            return runs, True
    return runs, False


def _show(answers: Console, runs: list[PairRun], plan: Plan, limit_us: int | None,
          described: dict[str, Any]) -> None:
    answers.print(host.headline(described), highlight=False, soft_wrap=True)
    series = [one for run in runs for one in run.series.values()]
    answers.print(report.table(series))
    for run in runs:
        for note in report.notes(run, plan.interval_us):
            answers.print(f"  cores {run.cores[0]}-{run.cores[1]}: {note}", highlight=False)
    for name in plan.measures if len(runs) > 1 else ():
        answers.print(report.matrix(runs, name))
    for one in series if len(runs) == 1 else ():
        if one.count:
            answers.print(report.histogram(one, limit_us), highlight=False, markup=False)


def _write_trace(answers: Console, runs: list[PairRun], path: Path) -> None:
    for run in runs:
        if run.trace is not None:
            path.write_text(ftrace.text(run.trace))
            answers.print(f"  the trace is in {path}", highlight=False, soft_wrap=True)


def _show_ratios(answers: Console, ratios: Iterable[comparing.Ratio]) -> None:
    for one in ratios:
        answers.print(f"  {one.measure:<10} cores {one.cores[0]}-{one.cores[1]}: {one.value:.2f} times the "
                      f"saved run, 95 % {one.low:.2f} .. {one.high:.2f}: {one.word}", highlight=False)
