"""What a user finds in a shell: dir(kemu), help(kemu), completion."""

from __future__ import annotations

import pydoc
import subprocess
import sys

import pytest

import kemu
from kemu import errors

PUBLIC = [name for name in dir(kemu) if not name.startswith("_")]
ERRORS = {name for name in vars(errors) if name[0].isupper()}


def test_dir_before_anything_is_used():
    """In a fresh shell, dir() shows the names that are not imported yet, and no helper's."""
    names = subprocess.run([sys.executable, "-c", "import kemu; print(*dir(kemu))"], text=True,
                           capture_output=True, check=True).stdout.split()
    assert {"Machine", "Race", "Trial", "Outcome", "run_race", "UsageError"} <= set(names)
    assert {"importlib", "Any", "TYPE_CHECKING", "annotations"} & set(names) == set()


def test_help_is_short_and_names_everything():
    """help(kemu) says what each public name is, on two screens."""
    text = pydoc.plain(pydoc.render_doc(kemu))
    assert text.count("\n") < 100
    modules = {name for name in PUBLIC if isinstance(getattr(kemu, name), type(kemu))}
    assert [name for name in PUBLIC if f"    {name} " not in text
            and name not in ERRORS | modules] == []


def test_a_name_that_there_is_not():
    """The error says where the names are."""
    with pytest.raises(AttributeError, match=r"'Machin'; dir\(kemu\)"):
        _ = kemu.Machin
