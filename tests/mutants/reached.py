"""Which statements of the kernel were reached, in any process.

Each statement in a function of the modules gets a store in front of it: of 1, into the byte of its
line in a file that all processes map.  An import hook puts the stores there, so the tree stays as
it is.  The hook is set by tests/mutants/site, which is in PYTHONPATH.

The server of the tests, its forks, their helpers and their CPUs record.  A command that a test starts
does not: it would not get the mutant either.

    the file    <- 0: by the judge's child, before each test;  1: by any process, at a statement

Locks: none.  Callers: site/sitecustomize, judge, survey.
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import itertools
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.mutants.modules import ROOT, file_of, modules, suites

FILE = "KEMU_REACHED"
SERVER = "tests.mutants.judge"
HELPER = "kemu.machine.helper"
FORK = "KEMU_FORK"          # the pid of the server's fork, for its helper
BYTES = "__kemu_reached__"
_LINES = [len(file_of(module).read_text().splitlines()) + 1 for module in modules()]
FIRST = dict(zip(modules(), itertools.accumulate([0, *_LINES]), strict=False))
SIZE = sum(_LINES)


def environment(file: Path) -> dict[str, str]:
    """What a process and its children need in their environment to record into a file."""
    file.write_bytes(bytes(SIZE))
    return {FILE: str(file), "PYTHONPATH": f"{Path(__file__).parent / 'site'}:{ROOT}"}


def record() -> None:
    """Record from now on, in a process that is to record: before a module of the kernel is imported."""
    helper = os.getppid() == int(os.environ.get(FORK, "0")) and HELPER in sys.orig_argv[-1]
    if not helper and SERVER not in sys.orig_argv:
        return
    with open(os.environ[FILE], "r+b") as file:
        setattr(builtins, BYTES, mmap.mmap(file.fileno(), SIZE))
    sys.meta_path.insert(0, _Finder())


def is_recording() -> bool:
    return hasattr(builtins, BYTES)


def clear() -> None:
    """Nothing is reached yet."""
    if is_recording():
        getattr(builtins, BYTES)[:] = bytes(SIZE)


def reached() -> dict[str, list[int]]:
    """The first lines of the statements that were reached, by module."""
    found = getattr(builtins, BYTES)[:] if is_recording() else b""
    by_module = {module: [line for line, byte in enumerate(found[first:first + length]) if byte]
                 for (module, first), length in zip(FIRST.items(), _LINES, strict=True)}
    return {module: lines for module, lines in by_module.items() if lines}


class _Finder:
    def find_spec(self, name: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in FIRST else None
        if spec is not None:
            spec.loader = _Loader(name, str(spec.origin))
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(Path(self.path).read_bytes())
        for suite in list(suites(tree)):
            suite[:] = [one for statement in suite for one in (*_store(fullname, statement), statement)]
        code: Any = compile(tree, self.path, "exec", dont_inherit=True)
        return code     # type: ignore[no-any-return]


def _store(module: str, statement: ast.stmt) -> list[ast.stmt]:
    """The store in front of a statement; none in front of a docstring."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return []
    store = ast.parse(f"{BYTES}[{FIRST[module] + statement.lineno}] = 1").body[0]
    for node in ast.walk(store):
        if hasattr(node, "lineno"):
            ast.copy_location(node, statement)
    return [store]
