"""kemu latency: what cyclictest is for timers, for park, unpark and wake-ups.

Callers: the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from kemu.cli import options
from kemu.cli.show import Answers, Progress
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

TRACE_FILE = "latency-trace.txt"

MEASURE_HELP = "; ".join(f"{one.name}: {one.what}" for one in MEASURES.values())


@click.command()
@click.option("--cpus", "cores", metavar="LIST", help="Host cores, as in 0,2-4, or all: every pair "
              "of them is measured, the nearest first.  [the first two that are usable]")
@click.option("--measure", "measures", type=click.Choice(list(MEASURES)), multiple=True,
              help="What to measure; may be given again.  [all]  " + MEASURE_HELP)
@click.option("--duration", type=options.Seconds(), default=5.0, show_default=True, metavar="SECONDS",
              help="How long each pair is measured.")
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
@options.json_file("Write all figures as one JSON object.")
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
    options.begin_files(plot, json_to)
    answers = Answers(json_to)
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
        options.append_line(json_to, json.dumps(said))
    return (Exit.INTERRUPTED if interrupted else
            Exit.UNEXPECTED if any(run.broke for run in runs) else Exit.EXPECTED)


def _run(chosen: list[tuple[int, int]], plan: Plan) -> tuple[list[PairRun], bool]:
    """The runs, and whether Ctrl-C ended them."""
    runs: list[PairRun] = []
    with Progress("latency") as progress:
        def tell(run: PairRun) -> None:
            progress.say(f"pair {len(runs)} of {len(chosen)}, {report.live_line(run)}")

        try:
            for run in measure_pairs(chosen, plan, tell):
                runs.append(run)
        except KeyboardInterrupt:
            return runs, True
    return runs, False


def _show(answers: Answers, runs: list[PairRun], plan: Plan, limit_us: int | None,
          described: dict[str, Any]) -> None:
    answers.show(host.headline(described))
    series = [one for run in runs for one in run.series.values()]
    answers.console.print(report.table(series))
    for run in runs:
        for note in report.notes(run, plan.interval_us):
            answers.show(f"  cores {run.cores[0]}-{run.cores[1]}: {note}")
    for name in plan.measures if len(runs) > 1 else ():
        answers.console.print(report.matrix(runs, name))
    for one in series if len(runs) == 1 else ():
        if one.count:
            answers.show(report.histogram(one, limit_us))


def _write_trace(answers: Answers, runs: list[PairRun], path: Path) -> None:
    for run in runs:
        if run.trace is not None:
            path.write_text(ftrace.text(run.trace))
            answers.show(f"  the trace is in {path}")


def _show_ratios(answers: Answers, ratios: Iterable[comparing.Ratio]) -> None:
    for one in ratios:
        answers.show(f"  {one.measure:<10} cores {one.cores[0]}-{one.cores[1]}: {one.value:.2f} times the "
                     f"saved run, 95 % {one.low:.2f} .. {one.high:.2f}: {one.word}")
