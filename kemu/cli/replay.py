"""``kemu replay``: run a schedule again, and draw it."""

from __future__ import annotations

from pathlib import Path

import click

from kemu.cli import options
from kemu.cli.confirm import write_script
from kemu.cli.show import Answers
from kemu.exits import Exit
from kemu.explore.replay import replay as run_again
from kemu.explore.schedule import parse
from kemu.races import find


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--steps", is_flag=True, help="Show every step, and not only those that may matter.")
@options.script
def replay(file: Path, steps: bool, script_to: Path | None) -> Exit:
    """Run the schedule in FILE again, compare each step with the record, and draw it.

    `kemu race --how pct --save FILE` writes one.  Exits with 1 if the trial parts from the
    record: then the race, or the kernel, has changed, or it does something that no schedule
    decides (a clock, random numbers, the order of a set).
    """
    schedule = parse(file.read_text(), str(file))
    (race,) = find(schedule.race)
    again = run_again(race, schedule)
    answers = Answers(None)
    answers.show("\n".join(again.record.lines) if steps else again.drawing)
    for remark in again.remarks:
        answers.show(remark)
    if script_to:
        answers.show(write_script(script_to, race, schedule, str(file)))
    return Exit.EXPECTED if again.same else Exit.UNEXPECTED
