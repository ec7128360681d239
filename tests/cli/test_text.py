"""How an outcome is shown: as text, on a narrow terminal, in a shell."""

from __future__ import annotations

import pytest

from kemu.harness.text import command_of, outcome_text, summary, wrapped
from kemu.harness.verdict import Outcome, Side

TITLE = "a stray wake-up between clear(SHOULD_PARK) and bind"


@pytest.fixture
def outcome():
    before = Side("before", "forced", trials=10, witnessed=10, hits=10, diagram="  CPU0   CPU1\n  x")
    after = Side("after", "forced", trials=10, witnessed=9, doubts=["nothing held it"])
    return Outcome("a-race", "forced", 1, {"before": before, "after": after}, title=TITLE,
                   options="--how forced --seed 1", what="./my races.py:a-race")


def test_print_shows_the_whole(outcome):
    """print(outcome) is the title, the table, the remarks, the diagram and the next command."""
    lines = str(outcome).splitlines()
    assert lines[0] == f"a-race (forced): {TITLE}"
    assert lines[2].split() == ["before", "10", "10", "0", "10", "6.9e-01", "..", "1.0e+00", "0.0", "HIT"]
    assert lines[4:] == ["rate: hits among the witnessed trials, Clopper-Pearson, two-sided",
                         "  after: unknown, because nothing held it", "", "  CPU0   CPU1", "  x", "",
                         "  run it again:", f"    {command_of(outcome, outcome.before)}"]


def test_a_command_is_one_line_that_a_shell_takes(outcome):
    """However narrow the terminal; the file's name has a space."""
    command = "kemu race './my races.py:a-race' --side before --how forced --seed 1"
    assert command in [line.strip() for line in outcome_text(outcome, 30).splitlines()]


def test_narrow(outcome):
    """A terminal of 40 columns gets a line for each cell, and no sentence is cut inside a word."""
    lines = outcome_text(outcome, 40).splitlines()
    assert "  verdict     HIT" in lines
    assert [line for line in lines if len(line) > 40 and "kemu race" not in line] == []


def test_repr(outcome):
    """In a shell, an outcome and a side say what they are and how they stand."""
    assert repr(outcome) == "<Outcome of a-race, forced: before HIT, after UNKNOWN>"
    assert repr(outcome.before) == "<Side before, forced: HIT, 10 hits in 10 of 10 trials that count>"


def test_summary_of_several(outcome):
    """One table, a row for each side of each race."""
    rows = [line.split() for line in summary([outcome, outcome]).splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("a-race", "before", "HIT"), ("a-race", "after", "UNKNOWN")] * 2


@pytest.mark.parametrize("width", [None, 200])
def test_wrapped_leaves_what_fits(width):
    """No width, or one that is large enough, changes nothing."""
    assert wrapped(TITLE, width, "  ") == f"  {TITLE}"
