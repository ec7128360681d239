"""Schedule files, kemu replay, and shortening."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from kemu.cli import cli
from kemu.errors import UsageError
from kemu.exits import Exit
from kemu.explore.minimise import cost, minimise, preemptions
from kemu.explore.plan import Plan
from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import Schedule, parse
from kemu.explore.strategy import Pct, Random, Replay
from kemu.explore.trials import hold_trials
from kemu.races import exhibit
from tests.explore import endless, not_deterministic

LOST = "lost-wakeup"


def a_hit(name=LOST, seed=3):
    """A trial that fails, as the first of a fresh machine."""
    found = hold_trials(exhibit(name), "before", Random(seed), schedules=5000)
    return hold_trials(exhibit(name), "before", Replay(Plan(found.record.choices)))


def test_a_schedule_is_read_as_it_was_written():
    """The text of a schedule parses to the same schedule."""
    trials = a_hit()
    schedule = Schedule.of(exhibit(LOST), "before", trials.record, trials.text)
    assert parse(schedule.text) == schedule


GOOD = "kemu schedule 2\nrace x\nside before\ncode 1\nmemory sc\nchoices 1\noutcome \"\"\nsteps\n"


@pytest.mark.parametrize(("line", "said"), [
    ("kemu schedule 9", "line 1"), ("kemu schedule 2\nrase x", "line 2"),
    ("kemu schedule 2\nrace x", "no line side"),
    (GOOD.replace("choices 1", "choices 99*2"), "99*2"), (GOOD.replace('""', "x"), "JSON"),
    (GOOD.replace("choices 1", "choices 1*999999999"), "32,768"),
    (GOOD.replace("memory sc", "memory pso"), "memory 'pso': one of sc, tso, weak"),
])
def test_a_text_that_is_no_schedule_is_refused(line, said):
    """The error names the line, or what is wrong in it."""
    with pytest.raises(UsageError, match=said.replace("*", r"\*")):
        parse(line)


def test_a_replay_is_the_same_trial():
    """The schedule of a hit hits again, step for step."""
    trials = a_hit()
    again = replay(exhibit(LOST), Schedule.of(exhibit(LOST), "before", trials.record, trials.text))
    assert again.same and again.text == trials.text


def test_a_replay_that_parts_says_where():
    """A record of other steps is found to be another trial, at the step that differs."""
    trials = a_hit()
    schedule = Schedule.of(exhibit(LOST), "before", trials.record, trials.text)
    lines = (*schedule.lines[:4], "cpu9 nobody: load nothing (0)", *schedule.lines[5:])
    again = replay(exhibit(LOST), replace(schedule, lines=lines))
    assert not again.same and "parted from its record: step 4 was 'cpu9 nobody" in again.remarks[0]


def test_a_replay_of_a_race_that_asks_the_clock_parts():
    """The replay names the step whose value no schedule decides."""
    trials = hold_trials(not_deterministic.race, "after", Replay(Plan()))
    schedule = Schedule.of(not_deterministic.race, "after", trials.record, "")
    again = replay(not_deterministic.race, schedule)
    assert not again.same and "asks: store Shared[0]" in again.remarks[0]


def test_a_shortened_schedule_still_fails_and_costs_no_more():
    """Its failure is the same, and one preemption is enough for a lost wake-up."""
    trials = a_hit()
    shortest = minimise(exhibit(LOST), "before", trials.record, trials.text)[0].record
    again = hold_trials(exhibit(LOST), "before", Replay(Plan(shortest.choices)))
    assert again.text == trials.text and cost(shortest) <= cost(trials.record)
    assert preemptions(shortest.steps) <= 1


@pytest.mark.parametrize("strategy", [Random(1), Pct(1, 3, 3)], ids=["random", "pct"])
def test_a_schedule_with_many_preemptions_is_shortened_to_those_that_the_race_needs(strategy):
    """CPUs are stopped at more than three places; the race needs three stops at most."""
    race = exhibit("unpark-wrong-cpu")
    trials = hold_trials(race, "before", strategy, schedules=5000)
    shortest, early = minimise(race, "before", trials.record, trials.text)
    assert preemptions(trials.record.steps) > 3 >= preemptions(shortest.record.steps), early
    assert shortest.text.splitlines()[0] == trials.text.splitlines()[0]


def test_the_reader_is_told_of_a_schedule_that_may_not_be_the_shortest(monkeypatch):
    """No machine may be booted to shorten it: the schedule stays, and the reader is warned."""
    monkeypatch.setattr("kemu.explore.minimise.MAX_MACHINES", 0)
    trials = a_hit()
    shortest, early = minimise(exhibit(LOST), "before", trials.record, trials.text)
    assert shortest.text == trials.text and "after 0 machines not all shorter ones were tried" in early


def test_a_trial_that_does_not_end_is_shortened_within_the_room_of_a_machine(monkeypatch):
    """Its beginnings are 400 MB of choices, and a machine is given a small part of them at a time."""
    monkeypatch.setattr("kemu.explore.minimise.MAX_MACHINES", 1)
    monkeypatch.setattr("kemu.explore.minimise.SEARCHES", 0)
    trials = hold_trials(endless.race, "after", Replay(Plan()))
    shortest, _ = minimise(endless.race, "after", trials.record, trials.text)
    assert len(trials.record.choices) > 20_000
    assert shortest.text.splitlines()[0] == trials.text.splitlines()[0]


def test_the_command_writes_a_schedule_and_replays_it(tmp_path):
    """kemu race --save, then kemu replay: the same steps, status 0."""
    file = str(tmp_path / "lost.txt")
    run = CliRunner()
    found = run.invoke(cli, ["race", LOST, "--side", "before", "--how", "pct", "--schedules", "900",
                             "--save", file],
                       standalone_mode=False)
    assert found.return_value == Exit.EXPECTED
    again = run.invoke(cli, ["replay", file], standalone_mode=False)
    assert again.return_value == Exit.EXPECTED and "and the same outcome" in again.output


def test_a_schedule_of_the_users_own_file_can_be_replayed(tmp_path):
    """It names the file: `kemu replay` finds no race of the user's by its name alone."""
    mine, saved = str(tmp_path / "mine.py"), str(tmp_path / "mine.schedule")
    run = CliRunner()
    assert not run.invoke(cli, ["new", mine], standalone_mode=False).exception
    run.invoke(cli, ["race", mine, "--side", "before", "--how", "random", "--schedules", "900",
                     "--save", saved], standalone_mode=False)
    again = run.invoke(cli, ["replay", saved], standalone_mode=False)
    assert again.return_value == Exit.EXPECTED, again.exception


@pytest.mark.parametrize("how", ["random", "pct", "exhaustive"])
def test_each_search_tells_the_sides_apart(how):
    """Before the fix it hits; after the fix no schedule does."""
    outcome = explore_race(exhibit(LOST), Search(how, schedules=2000))
    assert outcome.exit == Exit.EXPECTED, str(outcome)


def test_an_exhaustive_search_that_is_cut_short_proves_nothing():
    """After ten of the schedules the side is UNKNOWN, and the reason gives what is left."""
    outcome = explore_race(exhibit(LOST), Search("exhaustive", schedules=10), ["after"])
    assert outcome.exit == Exit.UNKNOWN and "the search is not over" in outcome.after.doubts[0]


@pytest.mark.parametrize("wrong", [{"how": "luck"}, {"how": "pct", "depth": 0}, {"how": "pct", "depth": 99},
                                   {"how": "exhaustive", "preemptions": -1},
                                   {"how": "random", "schedules": 0}, {"how": "pct", "jobs": 0},
                                   {"how": "exhaustive", "jobs": 2}])
def test_a_wrong_search_is_refused(wrong):
    """What cannot be searched is an error before anything boots."""
    with pytest.raises(UsageError):
        Search(**wrong)
