"""A schedule is said in a sentence, and a test that finds one keeps it."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from kemu.cli import cli
from kemu.exits import Exit
from kemu.explore.draw import shared_words
from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import parse
from kemu.explore.sentence import sentences
from kemu.races import exhibit
from tests.explore import bounded_queue


@pytest.mark.parametrize(("race", "said"), [
    (exhibit("lost-wakeup"), r"between sleeper's \w+ of Reactor\[1\]\.\w+ and its \w+ of .*, "
                             r"CPU 0 stores Reactor\[1\]\.work"),
    (bounded_queue.race, r"between (one|other)'s \w+ of Queue.* and its store of Queue\[0\]\.head, "
                         r"CPU \d .*stores Queue\[0\]\.head"),
], ids=lambda given: getattr(given, "name", ""))
def test_the_shortest_schedule_is_said_in_a_sentence(race, said):
    """It names the two steps of the stopped task, and what another CPU does between them."""
    side = explore_race(race, Search("exhaustive"), ["before"]).before
    record = replay(race, parse(side.schedule)).record
    found = sentences(record, shared_words(record.steps))
    assert len(found) == 1 and re.fullmatch(said, found[0]), found
    assert found[0] in side.diagram


def test_a_schedule_in_which_no_cpu_is_stopped_has_no_sentence():
    """The wrong subject: one task after the other."""
    race = bounded_queue.race
    after = explore_race(race, Search("exhaustive", preemptions=0), ["after"]).after
    assert not after.hits and not after.diagram


def test_a_test_keeps_the_schedule_that_it_finds(kemu_race, capsys):
    """It prints the command, and that command hits again."""
    kemu_race(bounded_queue.race, how="pct", schedules=200)
    command = re.search(r"kemu replay (\S+\.schedule)", capsys.readouterr().out)
    assert command
    again = CliRunner().invoke(cli, ["replay", command[1]], standalone_mode=False)
    assert again.return_value == Exit.EXPECTED, again.exception or again.output
