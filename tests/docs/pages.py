"""The examples of the documentation: the fenced blocks of a page, and how each is run.

A page's examples run in order, in one empty folder.  The words after the language say how:

    ```python                   run as a script
    ```python file=mine.py      written to mine.py, for the blocks that follow
    ```python more=mine.py      added to the end of mine.py, after an empty line
    ```text output              what the script before it prints
    ```console                  each line that begins with "$ " runs; the lines below are its output
    ```console recorded         the same, but only the exit status and the verdicts are compared
    ```console exit=1           each command ends with that status
    ```python show              not run: something that a test cannot do, such as `make test`

In an expected output "..." stands for any text.  ``python -m tests.docs.record`` writes the
recorded outputs anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md",
         *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]

EXAMPLES = ("python", "console")
SHOWN = ("text", "json", "yaml", "ini", "c", "mermaid")     # other languages a page may show
WORDS = re.compile(r"show|recorded|output|(?:file|more)=[\w./-]+|exit=\d+")
VERDICTS = re.compile(r"\b(?:HIT|CLEAN|UNKNOWN|MISSED|BROKEN|SUCCESS|FAILURE)\b")
FENCE = re.compile(r"^```(?P<info>[^`]*)$")
SECONDS = 100.0


class PageError(AssertionError):
    """A page is wrong: what, and in which line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: ``line`` is the fence's, ``words`` what stands after the language."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def value(self, name: str, default: str = "") -> str:
        """The value of the word ``name=value``."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(name + "=")),
                    default)

    @property
    def is_part_of_a_file(self) -> bool:
        return bool(self.value("file") or self.value("more"))

    def wrong(self, what: str) -> PageError:
        name = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return PageError(f"{name}, line {self.line}: {what}")


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page.  Raises PageError for a language or a word that is unknown."""
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = (number, fence["info"].strip()), []
        elif line == "```":
            if not opened[1].startswith("{"):       # a directive of the site's
                yield _block(page, opened[0], opened[1], lines)
            opened = None
        else:
            lines.append(line)


def _block(page: Path, line: int, info: str, lines: list[str]) -> Block:
    language, *words = info.split() or ["text"]
    block = Block(page, line, language, tuple(words), "".join(text + "\n" for text in lines))
    if language not in EXAMPLES + SHOWN:
        raise block.wrong(f"a block of {language!r}: the languages are {', '.join(EXAMPLES + SHOWN)}")
    unknown = [word for word in words if not WORDS.fullmatch(word)]
    if unknown:
        raise block.wrong(f"the word {unknown[0]!r} is unknown: see tests/docs/pages.py")
    return block


def run_page(page: Path, folder: Path) -> None:
    """Run every example of a page in a folder.  Raises PageError at the first that is wrong."""
    printed = ""
    for block in blocks(page):
        if "show" in block.words:
            continue
        if block.language == "console":
            for command, expected in commands(block):
                compare(block, command, expected, execute(block, command, folder))
        elif block.language == "python" and block.is_part_of_a_file:
            write_part(block, folder)
        elif block.language == "python":
            script = folder / f"line_{block.line}.py"
            script.write_text(block.text)
            printed = execute(block, f"{sys.executable} {script.name}", folder)
        elif "output" in block.words:
            compare(block, "the script", block.text, printed)


def write_part(block: Block, folder: Path) -> None:
    """Write a block to the file that it begins, or add it to the one that it goes on with."""
    with (folder / (block.value("file") or block.value("more"))).open(
            "w" if block.value("file") else "a") as file:
        file.write(block.text if block.value("file") else "\n" + block.text)


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that the page shows."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif not found:
            raise block.wrong("a console block begins with a command: `$ command`")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    return found


def execute(block: Block, command: str, folder: Path) -> str:
    """Run a command as the page's reader does; what it prints.  Raises PageError for another status."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(["bash", "-c", command], cwd=folder, text=True, timeout=SECONDS, check=False,
                          env=plain | {"PATH": path, "COLUMNS": "100", "TERM": "dumb"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wanted = int(block.value("exit", "0"))
    if done.returncode != wanted:
        raise block.wrong(f"{command} ends with status {done.returncode}, not {wanted}:\n{done.stdout}")
    return done.stdout


def compare(block: Block, command: str, expected: str, printed: str) -> None:
    """Raises PageError if the output is not what the page says."""
    if "recorded" in block.words:
        expected, printed = (" ".join(VERDICTS.findall(text)) for text in (expected, printed))
    if not matches(expected, printed):
        raise block.wrong(f"{command} printed\n\n{printed}\n\nand the page says\n\n{expected}")


def matches(expected: str, printed: str) -> bool:
    """Whether an output is the expected one; "..." stands for any text, and spaces count as one."""
    expected, printed = (re.sub(r" *\n", "\n", re.sub(r"[ \t]+", " ", text)).strip()
                         for text in (expected, printed))
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None
