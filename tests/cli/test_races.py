"""``kemu races``: a list that is read at any width."""

from __future__ import annotations

import pytest

from kemu.cli.races import listing
from kemu.races import EXHIBITS, exhibit

RACES = [exhibit(name) for name in EXHIBITS]


@pytest.mark.parametrize("width", [40, 80, 200, None])
def test_listing(width):
    """Every name stands whole at the begin of a line; no line is longer than the terminal."""
    lines = listing(RACES, width).splitlines()
    names = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert names == list(EXHIBITS)
    assert [line for line in lines if width and len(line) > width] == []


def test_columns_hold_the_longest_name():
    """The titles stand one below the other."""
    lines = listing(RACES, 200).splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert len({line.index(race.title) for line, race in zip(heads, RACES, strict=True)}) == 1
