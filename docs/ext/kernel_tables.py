"""Directives that read the code, so that the site says what the code says.

    {head} kemu/kernel/sched/__init__.py    the head of a file, as it is written there
    {linux} kemu/kernel/sched               which Linux each module of a folder follows
    {invariants}                            its body defines S1, S2, ...; the code says which exist
    {races}                                 the register of races
    {points}                                the points of the kernel
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import kemu
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ext.docstrings import as_markdown, escaped, head
from kemu.kernel.own.points import POINTS
from kemu.races import EXHIBITS, exhibit

KEMU = Path(kemu.__file__).parent
ROOT = KEMU.parent
NUMBER = re.compile(r"\bS\d{1,2}\b")
PART = re.compile(r"(Linux|Not modelled|Left out|Later fixes in it|A later fix in it)(?:\s*\([^)]*\))?: *")


class FromCode(SphinxDirective):
    """A directive whose text is Markdown that :meth:`markdown` makes."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def markdown(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.markdown()), allow_section_headings=False)


class Head(FromCode):
    """The head of a file, without its first line."""

    def markdown(self) -> Iterator[str]:
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        text = head(path).partition("\n")[2]
        if not text.strip():
            raise self.error(f"{self.arguments[0]} has no head")
        yield from as_markdown(text)


def rows(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Linux(FromCode):
    """What the heads of a folder's modules say of Linux: a definition for each module."""

    def markdown(self) -> Iterator[str]:
        for path in sorted((ROOT / self.arguments[0]).glob("*.py")):
            parts = linux_parts(head(path))
            if parts:
                yield f"`{path.stem.replace('__init__', path.parent.name)}`"
                yield f": {escaped(parts['Linux'])}."
                for title, name in (("Later fixes in it", "Later fixes in it"), ("Left out", "Not modelled")):
                    if parts.get(name):
                        yield f"\n  *{title}:* {escaped(parts[name])}."
                yield ""


def linux_parts(text: str) -> dict[str, str]:
    """What a head says after "Linux:", "Later fixes in it:", "Not modelled:", each in one line."""
    start = re.search(r"^Linux: ", text, re.MULTILINE)
    if not start:
        return {}
    paragraphs = text[start.start():].split("\n\n")
    taken = paragraphs[0]
    if len(paragraphs) > 1 and paragraphs[1].startswith("* "):
        taken += " " + paragraphs[1]
    line = re.sub(r"\s+", " ", taken.replace("\n* ", " ").replace(": * ", ": "))
    found = list(PART.finditer(line))
    ends = [*(one.start() for one in found[1:]), len(line)]
    parts = {one[1]: line[one.end():end].strip(" .;") for one, end in zip(found, ends, strict=True)}
    for name, other in (("Not modelled", "Left out"), ("Later fixes in it", "A later fix in it")):
        parts.setdefault(name, parts.pop(other, ""))
    return parts


class Invariants(FromCode):
    """A table of those of the body's invariants that the kernel's code names."""

    def markdown(self) -> Iterator[str]:
        defined = dict(line.split(": ", 1) for line in self.content if line)
        where = invariants_of_the_code()
        unknown = sorted(set(where) - set(defined), key=number_of)
        if unknown:
            raise self.error(f"the code names {', '.join(unknown)}, and this page defines no such invariant")
        yield rows("", "what must hold", "where the code names it")
        yield "|---|---|---|"
        for name, meaning in defined.items():
            if name in where:
                yield rows(name, meaning, ", ".join(f"`{place}`" for place in where[name]))


def number_of(name: str) -> int:
    return int(name[1:])


def invariants_of_the_code() -> dict[str, list[str]]:
    """For each invariant, the modules of the kernel that name it."""
    found: dict[str, list[str]] = {}
    for path in sorted([*(KEMU / "kernel").rglob("*.py"), *(KEMU / "kernel").rglob("*.c")]):
        for name in sorted(set(NUMBER.findall(path.read_text())), key=number_of):
            found.setdefault(name, []).append(str(path.relative_to(KEMU / "kernel").with_suffix("")))
    return {name: sorted(set(places)) for name, places in found.items()}


class Races(FromCode):
    """The register: each race, what fixed it, and what races."""

    def markdown(self) -> Iterator[str]:
        yield rows("race", "fixed by", "what races")
        yield "|---|---|---|"
        for name in EXHIBITS:
            race = exhibit(name)
            origin = "a mutation" if race.mutation else race.fix or "a pattern"
            yield rows(f"`{name}`", escaped(origin), escaped(race.title))


class Points(FromCode):
    """The kernel's points, in the groups of their table, and what holds at each."""

    def markdown(self) -> Iterator[str]:
        path = KEMU / "kernel/own/points.py"
        self.env.note_dependency(str(path))
        for line in path.read_text().splitlines():
            if line.startswith("    # "):
                yield from ("", f"**{escaped(line[6:])}**", "")
                yield from (rows("point", "what holds there"), "|---|---|")
            else:
                name = re.match(r'    "([^"]+)":', line)
                if name:
                    yield rows(f"`{name[1]}`", escaped(POINTS[name[1]]))


def setup(app: Sphinx) -> dict[str, bool]:
    for name, directive in (("head", Head), ("linux", Linux), ("invariants", Invariants),
                            ("races", Races), ("points", Points)):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
