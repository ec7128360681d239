"""Every race of the register, on both sides: does kemu still find what it should?"""

from __future__ import annotations

import pytest

from kemu.races import EXHIBITS, exhibit
from kemu.races.runner import Plan, run_race

TRIALS = 5


@pytest.mark.parametrize("name", EXHIBITS)
def test_forced(name):
    """The script hits in every trial before the fix, and in none after."""
    outcome = run_race(exhibit(name), Plan("forced", trials=TRIALS))
    assert (outcome.before.hits, outcome.after.hits) == (TRIALS, 0)
    assert outcome.exit == 0, [side.doubts for side in outcome.sides.values()]


def test_diagram_is_the_commit_messages():
    """unpark-wrong-cpu: the steps of seed 000, in its columns and its order."""
    race = exhibit("unpark-wrong-cpu")
    lines = run_race(race, Plan("forced", trials=1), ("before",)).before.diagram.splitlines()
    column = {cpu: lines[0].index(cpu) for cpu in ("CPU0", "CPU1", "CPU2")}
    steps = [("unpark(T)", "CPU0"), ("clear(SHOULD_PARK)", "CPU0"), ("wake_up_process(T)", "CPU2"),
             ("T runs", "CPU1"), ("leave parkme()", "CPU1"), ("bind_to(CPU2)", "CPU0"),
             ("BUG_ON(wrong CPU)", "CPU1")]
    found = []
    for line in lines[1:]:
        found += [(step, cpu) for step, cpu in steps
                  if step in line and line.index(step) - column[cpu] in (0, 2)]
    assert found == steps


def test_free_after_is_clean():
    """The fixed kernel, with nothing held."""
    after = run_race(exhibit("unpark-wrong-cpu"), Plan("free", trials=300), ("after",)).after
    assert (after.verdict.value, after.hits) == ("CLEAN", 0)


def test_jitter_finds_the_lost_wakeup():
    """Delays at points find it without a script."""
    before = run_race(exhibit("lost-wakeup"), Plan("jitter", seconds=30), ("before",)).before
    assert before.verdict.value == "HIT"
