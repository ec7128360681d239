"""``kemu torture``: every kind of load at once, hotplug under it, and an oracle that judges."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kemu.cli import options
from kemu.cli.show import Answers, Progress, program
from kemu.errors import UsageError
from kemu.exits import Exit
from kemu.harness.sides import BEFORE
from kemu.harness.userfile import load_file
from kemu.kernel.own.version import DEFAULT, VERSIONS
from kemu.machine import host
from kemu.machine.jitter import GRAINS
from kemu.machine.log import log
from kemu.machine.override import Override
from kemu.machine.placement import machines_that_fit
from kemu.races import exhibit
from kemu.torture.bundle import write_bundle
from kemu.torture.jobs import Jobs
from kemu.torture.run import Plan, Result
from kemu.torture.worker import invariants_in, workloads_in
from kemu.torture.workloads import WORKLOADS

SCHEMA = "kemu-torture-1"
HOTPLUG = "hotplug"
WORDS = {Exit.EXPECTED: "SUCCESS", Exit.UNEXPECTED: "FAILURE", Exit.UNKNOWN: "UNKNOWN, nothing was done",
         Exit.INTERRUPTED: "INTERRUPTED"}
LISTED = "; ".join(f"{one.name}: {one.what}" for one in WORKLOADS.values())


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@options.cpus(1, 4, "How many CPUs each machine has.")
@click.option("--duration", type=options.Seconds(), default=30.0, metavar="SECONDS", show_default=True,
              help="How long to torture.")
@click.option("--mix", metavar="NAME,...", help=f"Which workloads run, and {HOTPLUG}; a name twice gives two "
              f"workers.  [all that the kernel has, and {HOTPLUG}]  {LISTED}")
@click.option("--onoff-interval", type=click.IntRange(0, 1_000_000), default=0, metavar="MS",
              show_default=True, help="Between two CPUs that go down or come up.")
@click.option("--shuffle", type=click.FloatRange(0, 86400), default=3.0, metavar="SECONDS",
              show_default=True, help="Between two shuffles, which keep all workers off one CPU; 0: never.")
@click.option("--stutter", type=click.FloatRange(0, 86400), default=5.0, metavar="SECONDS",
              show_default=True, help="Of work between two pauses of all workers; 0: never.")
@click.option("--jitter", is_flag=True, help="Delay, interrupt and preempt at random points.")
@click.option("--grain", type=click.Choice(GRAINS), default="points", show_default=True,
              help="Where jitter acts: at named points, or at every operation.")
@click.option("--kernel", type=click.Choice(list(VERSIONS)), default=DEFAULT, show_default=True,
              help="The Linux whose hotplug and migration code runs.")
@options.seed("For every draw.")
@click.option("--revert", metavar="RACE", help="Run the kernel as it was before this race's fix; "
              "`kemu races` lists them.  The run should then fail.")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N",
              help="How many machines run side by side.  [as many as have cores of their own]")
@click.option("--bundle", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
              help="Where a failure's files go.  [kemu-torture-SEED]")
@options.json_file("Write the counts as one JSON object.")
def torture(file: Path | None, json_to: str | None, mix: str | None, revert: str | None, jobs: int | None,
            bundle: Path | None, duration: float, **given: Any) -> Exit:
    """Torture the kernel, or the code in FILE, until it fails or the time is up.

    Workers park, wake, stop, move, exec, create and register threads, while CPUs go down and
    come up.  The run fails if the kernel panics, an invariant is broken, a worker stands still,
    or something is left over at the end.  A failure leaves a folder with the report, the trace,
    a diagram and the command that runs it again.

    FILE is a Python file with functions of your own, marked @kemu.torture.workload or
    @kemu.torture.invariant; they run beside the mix.

    \b
    examples:
      kemu torture                                      half a minute of everything
      kemu torture --mix park,park,hotplug --jitter     parking against hotplug
      kemu torture --revert unpark-wrong-cpu --jitter   it should find that bug
      kemu torture ./mine.py --mix hotplug              your code, with CPUs coming and going
    """
    options.begin_files(json_to)
    names = mix.split(",") if mix is not None else None
    own = vars(load_file(file)).values() if file else ()
    workloads, invariants = workloads_in(own), invariants_in(own)
    if file and not workloads and not invariants:
        raise UsageError(f"{file} has no function marked @kemu.torture.workload or @kemu.torture.invariant")
    plan = Plan(seconds=duration, own=tuple(workloads), invariants=tuple(invariants),
                mix=None if names is None else tuple(name for name in names if name != HOTPLUG),
                onoff=names is None or HOTPLUG in names, **given)
    machines = jobs or machines_that_fit(plan.cpus)
    running = Jobs(plan, machines, _reverted(revert, plan.kernel), _log)
    with Progress("kemu torture") as progress:
        result = running.go(lambda so_far: progress.say(_live(so_far)))
    return _end(Answers(json_to), json_to, plan, machines, revert, bundle, result)


def _log(line: str) -> None:
    """What a machine's console prints is not an answer; ``kemu -v`` shows it."""
    log("INFO", "{}", line)


def _reverted(revert: str | None, kernel: str) -> list[Override]:
    """The functions before the race's fix.  Raises UsageError if this kernel does not have them."""
    if revert is None:
        return []
    race = exhibit(revert)
    if race.kernel != kernel:
        raise UsageError(f"--revert {revert}: that race is of another kernel; say --kernel {race.kernel}")
    overrides = race.side(BEFORE).overrides
    if any(not override.name.startswith("kemu.kernel") for override in overrides):
        raise UsageError(f"--revert {revert}: its fix is not in the kernel, but in the race's own code")
    return overrides


def _live(result: Result) -> str:
    rates = "  ".join(f"{name} {rounds:,}" for name, rounds in result.rounds.items())
    return f"{result.stats.line()}  {rates}"


def _end(answers: Answers, json_to: str | None, plan: Plan, machines: int, revert: str | None,
         bundle: Path | None, result: Result) -> Exit:
    ended = (Exit.UNEXPECTED if result.failures else Exit.INTERRUPTED if result.interrupted
             else Exit.UNKNOWN if result.idle else Exit.EXPECTED)
    said = _as_json(plan, machines, revert, result)
    answers.show(f"{result.stats.line()}\n{result.stats.table()}\n{_rates(result)}")
    for failure in result.failures:
        answers.show(f"!!! {failure}")
    if result.failures:
        where = write_bundle(bundle or Path(f"kemu-torture-{plan.seed}"), result, _command(), said)
        answers.show(f"the report, the trace and the command to run it again are in {where}")
    answers.show(f"--- End of test: {WORDS[ended]}: kernel={plan.kernel} machines={machines} "
                 f"cpus={plan.cpus} seed={plan.seed} onoff_interval={plan.onoff_interval} "
                 f"shuffle={plan.shuffle:g} stutter={plan.stutter:g} audits={result.audits}"
                 + (f" revert={revert}" if revert else ""))
    if json_to:
        options.append_line(json_to, json.dumps(said))
    return ended


def _rates(result: Result) -> str:
    """A line for each workload."""
    lines = [f"{'workload':<12} {'rounds':>12} {'a second':>12}"]
    lines += [f"{name:<12} {rounds:>12,} {rounds / max(result.seconds, .001):>12,.0f}"
              for name, rounds in result.rounds.items()]
    return "\n".join(lines)


def _command() -> str:
    return " ".join([program(), *map(shlex.quote, sys.argv[1:])])


def _as_json(plan: Plan, machines: int, revert: str | None, result: Result) -> dict[str, Any]:
    options_given = {name: value for name, value in asdict(plan).items()
                     if isinstance(value, int | float | str) and name not in ("onoff", "cycles")}
    return {"schema": SCHEMA, **options_given, "hotplug": plan.onoff,
            "workloads": list(result.rounds), "machines": machines, "revert": revert,
            "host": host.describe(), "rounds": result.rounds, "audits": result.audits,
            "onoff": {"up": [result.stats.up.ok, result.stats.up.tried],
                      "down": [result.stats.down.ok, result.stats.down.tried]},
            "cycles": result.stats.cycles, "ran_seconds": round(result.seconds, 3),
            "failures": result.failures, "interrupted": result.interrupted}
