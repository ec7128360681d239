"""The module kemu.native itself: its types, a second import, another interpreter."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from kemu import native

# Another interpreter of the process imports it.  The module that makes interpreters has had three names.
ELSEWHERE = """
import importlib.util
name, = filter(importlib.util.find_spec, ("_interpreters", "_xxsubinterpreters"))
interpreters = importlib.import_module(name)
run = getattr(interpreters, "exec", None) or interpreters.run_string
run(interpreters.create(), "try: import kemu.native\\nexcept ImportError as e: print(repr(e), flush=True)")
"""


@pytest.mark.parametrize("name", ["Memory", "Word", "SpinLock", "List", "Tasks", "RunQueue"])
def test_a_type_cannot_be_changed(name):
    """No program can replace a method that the kernel calls."""
    with pytest.raises(TypeError, match="immutable"):
        getattr(native, name).load = None


def test_a_second_import_has_the_same_types(monkeypatch):
    """What forgets its modules and imports them anew can still pass a word to what did not."""
    name = "kemu.native._hardware"
    first = sys.modules[name]
    monkeypatch.setattr(native, "_hardware", first)     # the import below replaces it
    monkeypatch.delitem(sys.modules, name)
    second = importlib.import_module(name)
    assert second is not first
    assert {key: value for key, value in vars(first).items() if isinstance(value, type)} == \
           {key: value for key, value in vars(second).items() if isinstance(value, type)}


def test_another_interpreter_may_not_import_it():
    """kemu keeps one machine's tasks for the whole process; the error says that, and nothing crashes."""
    said = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=True)
    assert "interpreter" in said.stdout, said
    assert "not built" not in said.stdout
