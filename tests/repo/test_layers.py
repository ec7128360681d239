"""The rules of the house that a program can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kemu

ROOT = Path(kemu.__file__).parent
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"):
           path for path in sorted(ROOT.rglob("*.py"))}
C_FILES = sorted(ROOT.rglob("*.[ch]"))

STOREYS = (
    {"native"}, {"memory"}, {"trace"}, {"kernel"}, {"machine"}, {"harness"}, {"races"}, {"explore"},
    {"latency", "torture"}, {"cli", "__main__", "pytest_plugin"},
)
C_STOREYS = ("native/hardware", "kernel", "native/python")
OPEN_TO_ALL = {"kemu.errors", "kemu.exits"}
LEAF = "kemu.trace.events"          # what the kernel writes into the rings
LINUX_FILE = re.compile(r"[\w/{},-]+\.[chS]\b|kemu's own", re.IGNORECASE)
MAX_FILE, MAX_FUNCTION = 400, 50


def storey(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, parts in enumerate(STOREYS) if part in parts)


def imported(path: Path, module: str, types: bool = True) -> Iterator[str]:
    """Every module of kemu that a file imports, at its head or later.

    types: also what is imported under ``if TYPE_CHECKING``, which never runs.
    """
    tree = ast.parse(path.read_text())
    if not types:
        tree.body = [node for node in tree.body
                     if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("kemu."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kemu":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield f"{module} (a relative import)"


def may_import(module: str, other: str) -> bool:
    if other in OPEN_TO_ALL or (other == LEAF and storey(module) >= storey("kemu.kernel")):
        return True
    if module == LEAF or other == "kemu" or "relative" in other:
        return False
    mine, its = storey(module), storey(other)
    kernel_reads_rings = module.startswith("kemu.kernel") and other.startswith("kemu.trace")
    return its <= mine and not kernel_reads_rings


@pytest.mark.parametrize("module", [m for m in MODULES if m not in {"kemu", *OPEN_TO_ALL}])
def test_imports_point_down(module):
    """A module imports from its own storey or from those below, by full name."""
    assert [other for other in imported(MODULES[module], module)
            if not may_import(module, other)] == []


@pytest.mark.parametrize("module", sorted(OPEN_TO_ALL))
def test_what_is_open_to_all_imports_nothing(module):
    """A module that every storey may import imports nothing of kemu."""
    assert list(imported(MODULES[module], module)) == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("kemu.kernel")])
def test_names_its_linux_file(module):
    """A kernel module says which Linux file it follows, or that it is kemu's own."""
    assert LINUX_FILE.search(ast.get_docstring(ast.parse(MODULES[module].read_text())) or "")


@pytest.mark.parametrize("module", MODULES)
def test_has_docstring(module):
    """Every module says what it is."""
    assert ast.get_docstring(ast.parse(MODULES[module].read_text()))


@pytest.mark.parametrize("path", [*MODULES.values(), *C_FILES],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_file_length(path):
    """No file is longer than anyone would read."""
    length = path.read_text().count("\n")
    assert length <= MAX_FILE


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """From a brace in the first column to the brace that closes it; the line before names it."""
    lines = path.read_text().splitlines()
    opened = None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            yield lines[opened - 1], number - opened
            opened = None


@pytest.mark.parametrize("path", [*MODULES.values(), *C_FILES],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_function_length(path):
    """No function is longer than a screen."""
    functions = python_functions if path.suffix == ".py" else c_functions
    assert [found for found in functions(path) if found[1] > MAX_FUNCTION] == []


def c_storey(path: Path) -> int:
    folder = path.relative_to(ROOT).parent.as_posix()
    return next(number for number, room in enumerate(C_STOREYS) if folder.startswith(room))


def included(path: Path) -> Iterator[Path]:
    """Every header of kemu that a C file includes."""
    code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    for name in re.findall(r'^#include "([^"]+)"', code, re.MULTILINE):
        found = [there / name for there in (path.parent, ROOT / "native", ROOT / "kernel")
                 if (there / name).is_file()]
        assert found, f"{path} includes {name}, which is not in the tree"
        yield found[0]


@pytest.mark.parametrize("path", C_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_includes_point_down(path):
    """A C file includes headers of its own storey or of those below."""
    assert [str(header) for header in included(path) if c_storey(header) > c_storey(path)] == []


@pytest.mark.parametrize("path", [p for p in C_FILES if p.parent != ROOT / "native/python"],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_glue_knows_python(path):
    """Python.h is included in native/python only, so that the rest builds without Python."""
    assert "Python.h" not in re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Every strongly connected part of more than one file."""
    reach: dict[str, set[str]] = {}
    for start, first in arrows.items():
        seen: set[str] = set()
        stack = list(first)
        while stack:
            there = stack.pop()
            if there not in seen:
                seen.add(there)
                stack += arrows.get(there, ())
        reach[start] = seen
    return sorted({tuple(sorted(b for b in reach[a] if a in reach.get(b, ())))
                   for a in arrows if a in reach[a]})


def test_circles_finds_a_circle():
    """The search finds a circle of two and one of three, and nothing in a chain."""
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"e"}, "e": {"c"}, "f": {"a"}}) == [
        ("a", "b"), ("c", "d", "e")]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_no_import_circles():
    """No Python file imports itself by way of others, not even late."""
    assert circles({module: set(imported(path, module, types=False)) - {"kemu", module}
                    for module, path in MODULES.items()}) == []


def test_no_include_circles():
    """No header includes itself by way of others."""
    assert circles({str(path): set(map(str, included(path))) for path in C_FILES}) == []
