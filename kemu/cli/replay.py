"""``kemu replay``: run a schedule again, and draw it, or go through it switch by switch."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kemu.cli import options
from kemu.cli.confirm import write_script
from kemu.cli.show import Answers
from kemu.exits import Exit
from kemu.explore.record import Record
from kemu.explore.replay import replay as run_again
from kemu.explore.schedule import parse
from kemu.explore.walk import walk
from kemu.races import find


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--steps", is_flag=True, help="Show every step, and not only those that may matter.")
@click.option("--step", "by_switch", is_flag=True,
              help="Stop at each switch, and show what the CPU did and the state then: Enter for the "
              "next one, q to end.")
@options.script
def replay(file: Path, steps: bool, by_switch: bool, script_to: Path | None) -> Exit:
    """Run the schedule in FILE again, compare each step with the record, and draw it.

    `kemu race --how pct --save FILE` writes one.  It is drawn with a column for each CPU, unless
    --steps or --step ask for something else.  Exits with 1 if the trial parts from the
    record: then the race, or the kernel, has changed, or it does something that no schedule
    decides (a clock, random numbers, the order of a set).
    """
    schedule = parse(file.read_text(), str(file))
    (race,) = find(schedule.race)
    again = run_again(race, schedule)
    answers = Answers(None)
    if by_switch:
        _go_through(answers, again.record, steps)
        answers.show(again.text or "no violation")
    else:
        answers.show("\n".join(again.record.lines) if steps else again.drawing)
    for remark in again.remarks:
        answers.show(remark)
    if script_to:
        answers.show(write_script(script_to, race, schedule, str(file)))
    return Exit.EXPECTED if again.same else Exit.UNEXPECTED


def _go_through(answers: Answers, record: Record, steps: bool) -> None:
    """Show each run of steps; before the next, wait for a line.  "q", or no more lines, ends it."""
    given = sys.stdin
    for number, text in enumerate(walk(record, steps)):
        if number:
            if given.isatty():
                click.echo("Enter for the next switch, q to end: ", nl=False, err=True)
            line = given.readline()
            if not line or line.strip() == "q":
                return
        answers.show(text)
