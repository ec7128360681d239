"""``kemu hotplug``: take CPUs down and up at random, beside a load."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from kemu.cli import options
from kemu.cli.show import Answers, Progress
from kemu.exits import Exit
from kemu.kernel.own.version import DEFAULT, VERSIONS
from kemu.machine.log import log
from kemu.machine.machine import Machine
from kemu.torture.onoff import Stats
from kemu.torture.run import Plan as TorturePlan
from kemu.torture.run import Result, Run
from kemu.torture.workloads import STORM

SCHEMA = 1
WORDS = {Exit.EXPECTED: "SUCCESS", Exit.UNEXPECTED: "FAILURE", Exit.UNKNOWN: "UNKNOWN, no cycle done",
         Exit.INTERRUPTED: "INTERRUPTED"}

LOAD: dict[str, tuple[str, ...]] = {"4.13": ("park", "stop", "affinity", "execs"), "2.6.6": STORM}


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    cpus: int
    seconds: float
    cycles: int | None
    seed: int
    kernel: str


@click.command()
@options.cpus(2, 4, "How many CPUs the machine has.")
@options.seconds(10.0, "How long to take CPUs down and up.")
@click.option("--cycles", type=click.IntRange(1), metavar="N",
              help="Instead of --seconds: until N times a CPU went down and one came up.")
@options.seed("For which CPU is next.")
@click.option("--kernel", type=click.Choice(list(VERSIONS)), default=DEFAULT, show_default=True,
              help="The Linux whose hotplug and migration code runs.")
@options.json_file("Write the counts as one JSON object.")
def hotplug(json_to: str | None, cpus: int, seconds: float, cycles: int | None, seed: int,
            kernel: str) -> Exit:
    """Take CPUs down and up at random, beside a load, and audit the kernel's invariants.

    The first line of the answer is the one that Linux's torture tests print:

    \b
      onoff: 30/30:31/31 1,4:2,9 62:140 (HZ=1000)
             |     |     |   |   |  +-- milliseconds to take CPUs down, in all
             |     |     |   |   +----- milliseconds to bring CPUs up, in all
             |     |     |   +--------- shortest,longest time to take one down
             |     |     +------------- shortest,longest time to bring one up
             |     +------------------- CPUs taken down/attempts
             +------------------------- CPUs brought up/attempts

    A table of latencies follows.

    Ctrl-C ends the run and shows what was counted until then.
    """
    options.begin_files(json_to)
    return run_and_show(Plan(cpus, seconds, cycles, seed, kernel), json_to)


def run_and_show(plan: Plan, json_to: str | None) -> Exit:
    """Run, print the line, the table and the last line; the exit status."""
    stats, failure, interrupted = _run(plan)
    ended = (Exit.UNEXPECTED if failure else Exit.INTERRUPTED if interrupted
             else Exit.EXPECTED if stats.cycles else Exit.UNKNOWN)
    answers = Answers(json_to)
    answers.show(f"{stats.line()}\n{stats.table()}")
    answers.show(f"--- End of test: {WORDS[ended]}: kernel={plan.kernel} cpus={plan.cpus} "
                 f"cycles={stats.cycles} seed={plan.seed}")
    if failure:
        click.echo(failure, err=True)
    if json_to:
        options.append_line(json_to, _as_json(plan, stats, failure))
    return ended


def _run(plan: Plan) -> tuple[Stats, str, bool]:
    """What was counted, what failed, and whether Ctrl-C ended it."""
    result = Result()
    with Progress("hotplug") as progress:
        def tell(so_far: Result) -> None:
            progress.say(f"{so_far.stats.cycles:,} cycles, {so_far.stats.line()}")

        try:
            with Machine(plan.cpus, trace=True, kernel=plan.kernel, console=_log) as machine:
                result = Run(machine, _torture(plan), tell).go()
                machine.note_failure_reported()
        except KeyboardInterrupt:       # while the machine booted, or while it was closed
            result.interrupted = True
    return result.stats, "\n".join([*result.failures, result.report]).strip(), result.interrupted


def _torture(plan: Plan) -> TorturePlan:
    """The same, without the pauses and shuffles of ``kemu torture``."""
    return TorturePlan(cpus=plan.cpus, seconds=plan.seconds, cycles=plan.cycles, seed=plan.seed,
                       kernel=plan.kernel, mix=LOAD[plan.kernel], shuffle=0, stutter=0)


def _log(line: str) -> None:
    """What the machine's console prints is not an answer; ``kemu -v`` shows it."""
    log("INFO", "{}", line)


def _as_json(plan: Plan, stats: Stats, failure: str) -> str:
    said = {"schema": SCHEMA, "kernel": plan.kernel, "cpus": plan.cpus, "seed": plan.seed,
            "failure": failure, "cycles": stats.cycles}
    for name, one in (("up", stats.up), ("down", stats.down)):
        said[name] = {"tried": one.tried, "ok": one.ok, "p50_us": one.percentile(.5),
                      "p99_us": one.percentile(.99), "max_us": one.percentile(1)}
    return json.dumps(said)
