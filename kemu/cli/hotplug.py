"""What ``kemu hotplug`` prints."""

from __future__ import annotations

import json
from pathlib import Path

import click
from loguru import logger
from rich.console import Console

from kemu.errors import KernelPanic
from kemu.machine.machine import Machine
from kemu.exits import Exit
from kemu.torture.onoff import Stats, run_onoff

SCHEMA = 1
WORDS = {Exit.EXPECTED: "SUCCESS", Exit.UNEXPECTED: "FAILURE", Exit.UNKNOWN: "UNKNOWN, no cycle done"}


def run_and_show(kernel: str, cpus: int, seconds: float, cycles: int | None, seed: int,
                 json_to: str | None) -> Exit:
    """Run, print the line, the table and the verdict; the exit status."""
    console = Console(stderr=True)
    total = Stats()
    failure = ""
    with console.status("booting") if console.is_terminal else console as status:
        def tell(stats: Stats) -> None:
            nonlocal total
            total = stats
            if console.is_terminal:
                status.update(  # type: ignore[union-attr]
                    f"{stats.cycles} cycles  {stats.line()}")

        try:
            with Machine(cpus, trace=True, kernel=kernel, console=_log) as machine:
                total = run_onoff(machine, seconds, seed, tell, cycles)
            failure = "\n".join(total.failures)
        except KernelPanic as panic:
            failure = panic.report
    verdict = Exit.UNEXPECTED if failure else Exit.EXPECTED if total.cycles else Exit.UNKNOWN
    if json_to != "-":
        click.echo(total.line())
        click.echo(total.table())
        click.echo(f"--- End of test: {WORDS[verdict]}: "
                   f"kernel={kernel} cpus={cpus} cycles={total.cycles} seed={seed}")
    if failure:
        click.echo(failure, err=True)
    if json_to:
        _write_json(total, failure, {"kernel": kernel, "cpus": cpus, "seed": seed}, json_to)
    return verdict


def _log(line: str) -> None:
    """What the machine prints is no answer: kemu -v shows it."""
    logger.info(line)


def _write_json(stats: Stats, failure: str, plan: dict[str, object], json_to: str) -> None:
    said = {"schema": SCHEMA, **plan, "failure": failure, "cycles": stats.cycles}
    for name, one in (("up", stats.up), ("down", stats.down)):
        said[name] = {"tried": one.tried, "ok": one.ok, "p50_us": one.percentile(.5),
                      "p99_us": one.percentile(.99), "max_us": one.percentile(1)}
    if json_to == "-":
        click.echo(json.dumps(said))
    else:
        Path(json_to).write_text(json.dumps(said) + "\n")
