"""The command line: races, race, demo, hotplug.

Every command exits with 0 for the expected, 1 for the unexpected, 2 for unknown, 64
for misuse, 70 for kemu's own failure and 130 for Ctrl-C.  Answers go to standard
output, progress to standard error, and only to a terminal.
"""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from loguru import logger
from rich.console import Console

import kemu
from kemu.cli.latency import latency
from kemu.errors import KemuError, UsageError
from kemu.kernel.own.version import DEFAULT, VERSIONS
from kemu.machine.arguments import MAX_SECONDS
from kemu.races import EXHIBITS, exhibit, find
from kemu.harness.display import Show, as_json
from kemu.exits import Exit, worst
from kemu.trace import ftrace

EPILOG = ("Exit status: 0 as expected, 1 not, 2 unknown (the run proves nothing), 64 misuse, "
          "70 a failure of kemu itself, 130 Ctrl-C.")


class Seconds(click.FloatRange):
    """A time to run."""

    def __init__(self) -> None:
        super().__init__(0, MAX_SECONDS, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):         # within no range, and outside none
            self.fail(f"{value} is no time.", param, ctx)
        return seconds


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kemu.__version__, prog_name="kemu")
@click.option("-v", "--verbose", is_flag=True, help="Log what the machine does, to standard error.")
def cli(verbose: bool) -> None:
    """Linux's per-CPU kernel threads in user space, on real cores.

    Start with `kemu demo`, then `kemu races`, then `kemu race NAME`.
    """
    if verbose:
        logger.enable("kemu")


@cli.command()
def races() -> None:
    """List the races there are, with the commit that fixed each."""
    for name in EXHIBITS:
        race = exhibit(name)
        origin = "mutation" if race.mutation else race.fix or "pattern"
        click.echo(f"{name:<22} {origin:<15} {race.title}")
        click.echo(f"{'':<22} {'':<15} {race.budget}")


@cli.command(epilog=EPILOG)
@click.argument("what", required=False, metavar="NAME|FILE[:NAME]")
@click.option("--all", "everything", is_flag=True, help="Every race of the register.")
@click.option("--side", type=click.Choice(["before", "after", "both"]), default="both")
@click.option("--how", type=click.Choice(["forced", "jitter", "free"]), default="forced",
              show_default=True, help="forced: a script holds tasks at points; jitter: seeded "
              "random delays at points; free: nothing but load and luck.")
@click.option("--trials", type=click.IntRange(1), help="Of each side [100 if forced].")
@click.option("--seconds", type=Seconds(), help="Of each side [10, unless forced].")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Of the delays.  It repeats the plan of delays, not the interleaving.")
@click.option("--cpus", type=click.IntRange(1, 62), help="More than the race needs.")
@click.option("--json", "json_to", metavar="FILE|-", help="One JSON object per race and line.")
@click.option("--trace", "trace_to", type=click.Path(dir_okay=False, path_type=Path),
              help="ftrace text of the first hit, or of the last machine.")
def race(what: str | None, everything: bool, side: str, json_to: str | None,
         trace_to: Path | None, **plan: Any) -> None:
    """Run a race on both sides: before its fix it must hit, after it must not.

    NAME is one of `kemu races`; FILE is a Python file with a kemu.Race in it.
    """
    from kemu.harness.runner import SIDES, Plan, run_race

    if bool(what) == everything:
        raise UsageError("name a race, or say --all; `kemu races` lists them")
    wanted = [exhibit(name) for name in EXHIBITS] if everything else find(what or "")
    if trace_to and len(wanted) > 1:
        raise UsageError("--trace is of one race: each would overwrite the last one's")
    show = Show(Console(stderr=json_to == "-"), Console(stderr=True))
    outcomes = []
    sides = SIDES if side == "both" else (side,)
    _begin_files(json_to, trace_to)
    for one in wanted:
        with show.progress(one, plan["how"]) as progress:
            outcome = run_race(one, Plan(**plan), sides, progress)
        named = "" if one.name in EXHIBITS else f"{(what or '').partition(':')[0]}:{one.name}"
        show.outcome(one, outcome, named)
        outcomes.append(outcome)
        if json_to:
            _append(json_to, as_json(one, outcome, plan["cpus"]))
        if trace_to:
            _write_trace(trace_to, outcome)
    raise SystemExit(worst(outcome.exit for outcome in outcomes))


def _begin_files(*paths: str | Path | None) -> None:
    """Empty what will be written: what cannot be is known before the run."""
    for path in paths:
        if path and path != "-":
            Path(path).write_text("")


def _append(json_to: str, line: str) -> None:
    if json_to == "-":
        click.echo(line)
    else:
        with Path(json_to).open("a") as file:
            file.write(line + "\n")


def _write_trace(path: Path, outcome: Any) -> None:
    for side in sorted(outcome.sides.values(), key=lambda side: not side.hits):
        if side.trace is not None:
            path.write_text(ftrace.text(side.trace))
            return


@cli.command(epilog=EPILOG)
@click.option("--seconds", type=Seconds(), default=15.0, show_default=True,
              help="Of free running, at the end.")
def demo(seconds: float) -> None:
    """A kernel thread wakes up on the wrong CPU, as before Linux 3.9; then the fix."""
    from kemu.cli.demo import show_demo

    raise SystemExit(show_demo(Console(), Console(stderr=True), seconds))


@cli.command(epilog=EPILOG)
@click.option("--cpus", type=click.IntRange(2, 62), default=4, show_default=True)
@click.option("--seconds", type=Seconds(), default=10.0, show_default=True)
@click.option("--cycles", type=click.IntRange(1),
              help="Instead of --seconds: until so many CPUs, or some more, went down and came up.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Of the draws; it repeats them, not the interleaving.")
@click.option("--kernel", type=click.Choice(list(VERSIONS)), default=DEFAULT, show_default=True,
              help="Whose hotplug and migration.")
@click.option("--json", "json_to", metavar="FILE|-", help="The counts as one JSON object.")
def hotplug(cpus: int, seconds: float, cycles: int | None, seed: int, kernel: str,
            json_to: str | None) -> None:
    """Take CPUs down and up at random, beside a load, with the invariants audited.

    Prints the kernel's torture statistics: online done/tried:offline done/tried,
    shortest,longest of each, sum of each, in jiffies; then latencies.
    """
    from kemu.cli.hotplug import run_and_show

    _begin_files(json_to)
    raise SystemExit(run_and_show(kernel, cpus, seconds, cycles, seed, json_to))


cli.add_command(latency)


def main() -> None:
    """The console script."""
    for name in ("stdout", "stderr"):       # closed by the caller, as `>&-` does
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))    # noqa: SIM115
    _guarded(lambda: cli.main(standalone_mode=False))


def _guarded(run: Callable[[], Any]) -> None:
    try:
        run()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(Exit.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.MISUSE)
    except UsageError as error:
        click.echo(f"kemu: {error}", err=True)
        sys.exit(Exit.MISUSE)
    except KemuError as error:
        click.echo(f"kemu: {type(error).__name__}: {error}", err=True)
        sys.exit(Exit.INTERNAL)
    except OSError as error:
        click.echo(f"kemu: {error}", err=True)
        sys.exit(Exit.MISUSE)
    except Exception:
        traceback.print_exc()
        click.echo("kemu: this is a bug of kemu", err=True)
        sys.exit(Exit.INTERNAL)
