"""Every race of the register, on both sides: does kemu still find what it should?"""

from __future__ import annotations

import pytest

from kemu.races import FORCED, exhibit, parkme
from kemu.harness.runner import Plan, run_race
from kemu.harness.sides import CLEAN, HIT

TRIALS = 3


@pytest.mark.parametrize("name", FORCED)
def test_forced(name):
    """The script hits in every trial of a side that is expected to hit, and in none of the others."""
    race = exhibit(name)
    outcome = run_race(race, Plan("forced", trials=TRIALS))
    assert {name: side.hits for name, side in outcome.sides.items()} == {
        name: TRIALS * (race.side(name).expect == HIT) for name in race.sides}
    assert outcome.exit == 0, [side.doubts for side in outcome.sides.values()]


@pytest.mark.parametrize(("name", "releases"), [
    ("unpark-wrong-cpu", {"before": HIT, "3.9": CLEAN, "4.16": CLEAN, "4.17": CLEAN, "4.18": CLEAN}),
    ("parked-store-collides", {"before": HIT, "3.8": CLEAN, "3.9": HIT, "4.17": HIT, "4.18": CLEAN}),
    ("park-returns-early", {"before": HIT, "4.17": HIT})])
def test_what_each_release_did(name, releases):
    """As the messages of the fixes tell it; test_forced() shows that each side does it."""
    race = exhibit(name)
    assert {side: race.side(side).expect for side in race.sides} == releases | {"after": CLEAN}


@pytest.mark.parametrize(("name", "side", "release", "verdict"), [
    ("unpark-wrong-cpu", "3.9", "3.8", "BROKEN"), ("parked-store-collides", "4.18", "4.16", "BROKEN"),
    ("parked-store-collides", "4.17", "4.18", "MISSED"), ("park-returns-early", "after", "4.16", "BROKEN")])
def test_a_release_under_the_name_of_another_is_noticed(name, side, release, verdict):
    """The sides differ by what the releases did, and by nothing else."""
    race = exhibit(name).copy()
    race.side(side).overrides.clear()
    parkme.as_of(release, race.side(side))
    assert run_race(race, Plan("forced", trials=2), (side,)).sides[side].verdict.value == verdict


@pytest.mark.parametrize(("name", "steps"), [
    ("unpark-wrong-cpu",
     [("unpark(T)", "CPU0"), ("clear(SHOULD_PARK)", "CPU0"), ("wake_up_process(T)", "CPU2"),
      ("T runs", "CPU1"), ("leave parkme()", "CPU1"), ("bind_to(CPU2)", "CPU0"),
      ("BUG_ON(wrong CPU)", "CPU1")]),
    ("stopper-drops-work-up",
     [("cpu_up(1)", "CPU0"), ("starting: active", "CPU1"), ("stop_two_cpus(2, 1)", "CPU2"),
      ("for CPU1: accepted 0", "CPU2"), ("for CPU2: accepted 1", "CPU2"),
      ("S2 waits for ever", "CPU2")])])
def test_diagram_is_the_story(name, steps, monkeypatch):
    """The steps of the fix's message, in its columns and its order."""
    monkeypatch.setenv("COLUMNS", "100")        # no step is folded, whatever the terminal
    race = exhibit(name)
    lines = run_race(race, Plan("forced", trials=1), ("before",)).before.diagram.splitlines()
    column = {cpu: lines[0].index(cpu) for cpu in ("CPU0", "CPU1", "CPU2")}
    found = []
    for line in lines[1:]:
        found += [(step, cpu) for step, cpu in steps
                  if step in line and line.index(step) - column[cpu] in (0, 2)]
    assert found == steps


def test_free_after_is_clean():
    """The fixed kernel, with nothing held; UNKNOWN if the host was too busy for one trial that counts."""
    after = run_race(exhibit("unpark-wrong-cpu"), Plan("free", trials=300), ("after",)).after
    assert (after.verdict.value, after.hits) == ("CLEAN" if after.witnessed else "UNKNOWN", 0)


@pytest.mark.parametrize("name", ["lost-wakeup", "stopper-drops-work-up", "unpark-from-idle"])
def test_jitter_finds(name):
    """Delays at points find it without a script.  The last one needs a preemption at one."""
    before = run_race(exhibit(name), Plan("jitter", seconds=30), ("before",)).before
    assert before.verdict.value == "HIT"


@pytest.mark.parametrize("name", ["lost-wakeup", "unpark-wrong-cpu", "unpark-from-idle"])
def test_jitter_at_operations_needs_no_points(name):
    """With every point switched off.  tests/races/points_removed.py has the table of all races."""
    plan = Plan("jitter", seconds=60, enough_hits=1, grain="ops", points=False)
    assert run_race(exhibit(name), plan, ("before",)).before.hits
