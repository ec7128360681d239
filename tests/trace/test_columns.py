"""Diagrams: exact text."""

from __future__ import annotations

import pytest

from kemu.trace import events as ev
from kemu.trace.columns import default_labels, draw
from kemu.trace.reader import Event, Trace


def event(us: float, cpu: int, who: str, point: str) -> Event:
    return Event(int(us * 1000), ev.POINT, cpu, 1, who, -1, "", 0, 0, 0, point)


LABELS = {"cleared": "  clear(SHOULD_PARK)", "woken": "{who} runs", "bound": "bind_to(CPU2)"}
STORY = Trace([event(10, 0, "unparker", "start"), event(11, 0, "unparker", "cleared"),
               event(12.5, 1, "victim", "woken"), event(20, 0, "unparker", "bound")], {0: 0, 1: 0})


def test_a_story(monkeypatch):
    """A column per CPU, time downward, the guilty line marked, a legend."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert draw(STORY, labels=LABELS, names={"victim": "T"}, width=80, verdict="BUG").splitlines() == [
        "     us  CPU0                   CPU1",
        "    0.0    clear(SHOULD_PARK)",
        "    1.5                         T runs",
        "    9.0  bind_to(CPU2)                                 <-- here",
        "", "legend: T is victim", "", "  BUG"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_folds_to_the_width(width):
    """No line is wider than the terminal, as far as the narrowest columns allow."""
    assert max(map(len, draw(STORY, labels=LABELS, width=width).splitlines())) <= max(width, 50)


def test_only_the_last_trial():
    """From the last time that the actors started."""
    twice = Trace([*STORY.events, *STORY.events], {})
    assert draw(twice, labels=LABELS, since="start").count("bind_to") == 1


def test_lost_events_are_said():
    """A ring that was overwritten."""
    assert "7 older events were overwritten" in draw(Trace(STORY.events, {0: 7}), labels=LABELS)


def test_nothing_to_draw():
    """No labelled event."""
    assert draw(STORY, labels={}) == "(no labelled event was recorded)"


def test_default_labels():
    """A race without labels: the points its actors pass."""
    drawn = draw(STORY, labels=default_labels(["unparker"]), width=80)
    assert "cleared" in drawn
    assert "woken" not in drawn
