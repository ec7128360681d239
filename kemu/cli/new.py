"""``kemu new``: a race of the user's own, to begin with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from kemu.cli.show import Answers, program
from kemu.errors import UsageError
from kemu.exits import Exit

TEMPLATE = Path(__file__).with_name("template.py")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def new(file: Path) -> Exit:
    """Write a race of your own to begin with, which runs as it is.

    FILE is a Python file that does not exist yet, such as my_race.py.
    """
    if file.suffix != ".py":
        raise UsageError(f"{file} is not a Python file: give a name that ends with .py, "
                         f"such as {file.with_suffix('.py')}")
    try:
        with file.open("x") as opened:
            opened.write(_text(file))
    except FileExistsError as error:
        raise UsageError(f"{file} exists, and nothing was written: give the name of a new file") from error
    shown = shlex.quote(str(file))
    Answers().show(f"{file} is written.  Read it, then run it:\n\n"
                   f"    {program()} race {shown}\n"
                   f"    {program()} race {shown} --how jitter")
    return Exit.EXPECTED


def _text(file: Path) -> str:
    """The template, with the file's name as the race's, the test's and in the commands."""
    word = re.sub(r"\W+", "_", file.stem).removeprefix("test_").strip("_") or "my_race"
    text = TEMPLATE.read_text().replace("my-race", word.replace("_", "-")).replace("my_race", word)
    return text.replace(" FILE", " " + shlex.quote(file.name))
