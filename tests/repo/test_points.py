"""The table of the kernel's points says what the kernel has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kemu
from kemu.kernel.own.points import POINTS

KERNEL = Path(kemu.__file__).parent / "kernel"
PASSED = re.compile(r'\bpoint\("([^"]+)"\)|"point:([^"]+)"')


def points_of(text: str) -> set[str]:
    """The names of the points that a source file, in Python or in C, passes."""
    return {python or c for python, c in PASSED.findall(text)}


def kernel_points() -> set[str]:
    files = [path for path in KERNEL.rglob("*.[pc]*") if path.suffix in {".py", ".c"}]
    return set().union(*(points_of(path.read_text()) for path in files))


def test_every_point_is_in_the_table():
    """No task of the kernel passes a point that `kemu points` does not list."""
    assert kernel_points() - POINTS.keys() == set()


def test_every_row_is_a_point():
    """No row of the table names a point that the kernel does not pass."""
    assert POINTS.keys() - kernel_points() == set()


@pytest.mark.parametrize("name", POINTS)
def test_a_row_says_what_holds(name):
    """A meaning is one line, and says what is so, or what is not yet."""
    assert 20 < len(POINTS[name]) <= 90


def test_both_languages_are_read():
    """The test finds points in Python and in C, and takes no other string for one."""
    assert points_of('point("a:b")\nstatic struct kemu_name x = { "point:c", 0 };\n"d"') == {"a:b", "c"}
