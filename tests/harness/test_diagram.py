"""A diagram ends, however long the trial ran."""

from __future__ import annotations

import kemu
from kemu.harness import side_run
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict
from kemu.trace.columns import FIRST_LINES, LAST_LINES, Line, shortened

STEPS = 1000


def test_what_is_left_out_is_said():
    """The first and the last steps stay, in their order; a short diagram stays whole."""
    lines = [Line(number, 0, str(number)) for number in range(STEPS)]
    drawn = shortened(lines)
    assert drawn[:FIRST_LINES] + drawn[-LAST_LINES:] == lines[:FIRST_LINES] + lines[-LAST_LINES:]
    assert [line.text for line in drawn[FIRST_LINES:-LAST_LINES]] == [
        f"({STEPS - FIRST_LINES - LAST_LINES} steps are left out)"]
    assert shortened(lines[:LAST_LINES]) == lines[:LAST_LINES]


def fixed():
    pass


def test_a_trial_that_does_not_end(monkeypatch):
    """Its diagram does: neither every pass of the loop nor the machine's report is drawn."""
    monkeypatch.setattr(side_run, "STUCK_SECONDS", 1.0)
    race = kemu.Race("endless", cpus=1)
    race.before(fixed)(lambda: None)

    @race.actor(cpu=0)
    def spinner(t):
        while True:
            kemu.point("round")

    after = run_race(race, Plan("free", trials=1), ("after",)).after
    assert after.verdict is Verdict.BROKEN
    assert "spinner runs on CPU 0" in after.failure
    assert after.diagram.count("\n") < FIRST_LINES + LAST_LINES + 20
