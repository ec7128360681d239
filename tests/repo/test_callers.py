"""A head that names the callers of its module names modules that import it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repo.test_layers import MODULES, imported

ANYBODY = {"users", "tests", "bench", "everybody"}


def named_callers(docstring: str) -> list[str]:
    """The modules and rooms behind "Callers:"; what has a space in it is prose, and left out."""
    found = re.search(r"Callers:\s(.*?)(?:\n\n|$)", docstring, re.DOTALL)
    names = re.split(r"[,;]", found[1]) if found else []
    cleaned = (re.sub(r"\(.*?\)", "", name).strip().rstrip(".").replace("/", ".") for name in names)
    return [name.removesuffix(".py") for name in cleaned if re.fullmatch(r"[\w.]+", name)]


IMPORTERS: dict[str, set[str]] = {module: set() for module in MODULES}
for importer, path in MODULES.items():
    for module in imported(path, importer):
        IMPORTERS.setdefault(module, set()).add(importer)


def is_caller(name: str, importers: set[str]) -> bool:
    """Whether the name is that of an importer, or of a room with an importer in it."""
    return any(f".{name}." in f".{importer}." for importer in importers)


def head(module: str) -> str:
    return ast.get_docstring(ast.parse(MODULES[module].read_text())) or ""


@pytest.mark.parametrize("module", [module for module in MODULES if "Callers:" in head(module)])
def test_named_callers_import_the_module(module):
    """No head names a caller that does not import the module."""
    named = [name for name in named_callers(head(module)) if name not in ANYBODY]
    assert [name for name in named if not is_caller(name, IMPORTERS[module])] == []


def test_a_wrong_caller_is_found():
    """The test takes a module or a room that imports, and no other name."""
    assert named_callers("Locks: none.  Callers: cpu (hotplug), races/x.py, v2_6; the init list.") == [
        "cpu", "races.x", "v2_6"]
    importers = {"kemu.kernel.hotplug.cpu"}
    assert [is_caller(name, importers) for name in ("cpu", "hotplug", "hotplug.cpu", "cp", "races")] == [
        True, True, True, False, False]
