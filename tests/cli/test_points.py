"""``kemu points``: every point of the kernel with its meaning."""

from __future__ import annotations

import pytest

from kemu.cli.points import listing
from kemu.exits import Exit
from kemu.kernel.own.points import POINTS
from tests.cli.terminal import kemu


@pytest.mark.parametrize("width", [40, 80, None])
def test_listing(width):
    """Every name begins a line, and its meaning follows, whole; no line is too long."""
    text = listing(POINTS, width)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(POINTS)
    assert [said for said in POINTS.values() if said not in " ".join(text.split())] == []
    assert [line for line in lines if width and len(line) > width] == []


def test_a_part_of_the_names():
    """Only those; a part that no name has is misuse."""
    names = [line.split()[0] for line in kemu("points", "parkme:").stdout.splitlines()]
    assert names == [name for name in POINTS if "parkme:" in name]
    assert kemu("points", "nowhere").returncode == Exit.MISUSE
