"""``kemu races``: the races that are built in."""

from __future__ import annotations

import textwrap

import click

from kemu.cli.show import Answers
from kemu.exits import Exit
from kemu.harness.race import Race
from kemu.races import EXHIBITS, exhibit

NARROW = 40         # characters that a title needs beside the other columns


@click.command()
def races() -> Exit:
    """List the races that are built in.

    Each has a name for `kemu race NAME`, the commit that fixed it in Linux (or "mutation" or
    "pattern", if there is none), what happens in it, what its before side was (a released
    kernel, a state that the fix's author describes, a mutation, a pattern, a composite), and how
    soon it shows without a script.
    """
    answers = Answers()
    answers.show(listing([exhibit(name) for name in EXHIBITS], answers.width))
    return Exit.EXPECTED


def listing(races: list[Race], width: int | None) -> str:
    """Three columns; or the third below the others, if the width leaves no room for it."""
    origins = [_origin(race) for race in races]
    name_width, origin_width = max(len(race.name) for race in races), max(map(len, origins))
    beside = name_width + 2 + origin_width + 2
    below = width is not None and width - beside < NARROW
    lines = []
    for race, origin in zip(races, origins, strict=True):
        head = f"{race.name:<{name_width}}  {origin:<{origin_width}}  "
        room = None if width is None else width - (4 if below else beside)
        said = [part for text in (race.title, _before(race), race.budget) if text
                for part in _fold(text, room)]
        if below:
            head = f"{race.name}  {origin}"
            fits = width is None or len(head) <= width
            lines += [head] if fits else [race.name, " " * 4 + origin]
            lines += [" " * 4 + part for part in said]
        else:
            lines += [(head if not number else " " * beside) + part
                      for number, part in enumerate(said or [""])]
    return "\n".join(line.rstrip() for line in lines)


def _fold(text: str, room: int | None) -> list[str]:
    return [text] if room is None else textwrap.wrap(
        text, max(room, 20), break_long_words=False, break_on_hyphens=False)


def _before(race: Race) -> str:
    """What the kernel of each side was, where the race says it."""
    sides = {name: race.side(name).origin for name in race.sides}
    return "; ".join(f"{name}: {origin}" for name, origin in sides.items() if origin)


def _origin(race: Race) -> str:
    return "mutation" if race.mutation else race.fix or "pattern"
