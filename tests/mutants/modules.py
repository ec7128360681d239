"""The modules that mutants are drawn from, and the statements in their functions.

It imports nothing of kemu, because reached must change the modules before they are imported.

Callers: draw, reached, survey.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("kthread.py", "smpboot.py", "cpu_stop.py", "stop_machine.py",
         "hotplug/*.py", "sched/*.py", "v2_6/*.py")


@functools.cache
def modules() -> tuple[str, ...]:
    """The modules that mutants are drawn from."""
    found = {path for pattern in FILES for path in (ROOT / "kemu/kernel").glob(pattern)}
    return tuple(sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found
                        if path.name != "__init__.py"))


def file_of(module: str) -> Path:
    """A module's file."""
    return ROOT / (module.replace(".", "/") + ".py")


def fingerprint(file: Path) -> str:
    """It differs if a line of one of the modules differs, or of the file."""
    paths = [*map(file_of, modules()), file]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def suites(tree: ast.AST, inside: bool = False) -> Iterator[list[ast.stmt]]:
    """The lists of statements in the functions of a module."""
    inside = inside or isinstance(tree, ast.FunctionDef)
    for _, value in ast.iter_fields(tree):
        values = value if isinstance(value, list) else [value]
        if inside and values and isinstance(values[0], ast.stmt):
            yield values
        for inner in values:
            if isinstance(inner, ast.AST):
                yield from suites(inner, inside)


@functools.cache
def _statements(module: str) -> tuple[tuple[int, int], ...]:
    tree = ast.parse(file_of(module).read_text())
    return tuple((one.lineno, one.end_lineno or one.lineno) for suite in suites(tree) for one in suite)


def statement_at(module: str, line: int) -> int:
    """The first line of the innermost statement that a line of a function belongs to."""
    return max(first for first, last in _statements(module) if first <= line <= last)
