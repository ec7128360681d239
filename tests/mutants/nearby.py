"""Which test files touch a module of the kernel, the nearest first.

A test file touches the modules that it imports, itself or by a helper among the tests.  If
fewer than ENOUGH files import the module, the files that import an importer of it count too,
and so on.  If none does, the files that touch a module of the same package are taken.  Within a
distance, a file whose name has the module's or its package's name in it comes first.

Callers: run, test_mutants.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from tests.mutants.draw import ROOT
from tests.repo.test_layers import MODULES, imported

ROOMS = ("cli", "explore", "harness", "kernel", "latency", "machine", "races", "torture", "trace")
ENOUGH = 3


def files_near(module: str) -> list[str]:
    """The test files that touch the module, as paths from the root of the tree."""
    wanted, found = {module}, list[str]()
    while len(found) < ENOUGH:
        found += [file for file in _touching(wanted, module) if file not in found]
        more = wanted | {importer for importer, its in _imports().items() if its & wanted}
        if more == wanted:
            break
        wanted = more
    return found or _touching(_spread({module.rpartition(".")[0]}), module)


def _touching(modules: set[str], nearest: str) -> list[str]:
    """The files that import one of the modules, those named after ``nearest`` first."""
    names = nearest.replace("v2_6", "2_6").split(".")[2:]

    def distance(file: str) -> tuple[bool, int, str]:
        return not any(name in file for name in names), len(_touched()[file]), file

    return sorted((file for file, its in _touched().items() if its & modules), key=distance)


@functools.cache
def _imports() -> dict[str, set[str]]:
    """What each module of the kernel imports."""
    return {module: _spread(set(imported(path, module))) for module, path in MODULES.items()
            if module.startswith("kemu.kernel.") and path.name != "__init__.py"}


@functools.cache
def _touched() -> dict[str, set[str]]:
    """What each test file imports of the kernel."""
    files = [path for room in ROOMS for path in sorted((ROOT / "tests" / room).glob("test_*.py"))]
    return {str(path.relative_to(ROOT)): _spread(_with_helpers(path)) for path in files}


def _with_helpers(path: Path) -> set[str]:
    found = set(imported(path, ""))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            for name in [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]:
                helper = ROOT / f"{name.replace('.', '/')}.py"
                if helper.exists():
                    found |= set(imported(helper, ""))
    return found


def _spread(names: set[str]) -> set[str]:
    """The names, and for each package of the kernel the modules in it."""
    inside = {module for module in MODULES for name in names
              if name.startswith("kemu.kernel.") and module.startswith(f"{name}.")}
    return {name for name in names | inside if name.startswith("kemu.kernel.")}
