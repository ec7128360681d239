"""A schedule is gone through switch by switch, with the state at each."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest
from click.testing import CliRunner

from kemu.cli import cli
from kemu.exits import Exit
from kemu.explore.run import Search, explore_race
from kemu.explore.strategy import Random
from kemu.explore.trials import hold_trials
from kemu.explore.walk import walk
from kemu.races import exhibit
from tests.cli.terminal import KEMU, PLAIN
from tests.explore import deadlock

LOST = "lost-wakeup"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a schedule that loses a wake-up."""
    file = tmp_path_factory.mktemp("walk") / "lost.schedule"
    file.write_text(explore_race(exhibit(LOST), Search("exhaustive"), ["before"]).before.schedule)
    return file


def runs(text):
    """The numbers of the runs of steps that were shown, and how many there are."""
    return re.findall(r"^run (\d+) of (\d+): CPU \d", text, re.MULTILINE)


def test_each_line_of_a_pipe_shows_the_next_switch(saved):
    """Lines to spare: each run is shown, the sleeper ends asleep, and the outcome comes last."""
    shown = CliRunner().invoke(cli, ["replay", str(saved), "--step"], input="\n" * 99, standalone_mode=False)
    assert shown.return_value == Exit.EXPECTED, shown.exception or shown.output
    last = int(runs(shown.output)[0][1])
    assert [int(number) for number, _ in runs(shown.output)] == list(range(1, last + 1))
    states = re.findall(r"^tasks: .*sleeper (\w)", shown.output, re.MULTILINE)
    assert (states[0], states[-1]) == ("R", "S")
    assert shown.output.index("tasks: ") < shown.output.index("the sleeper sleeps, and has work")


@pytest.mark.parametrize("given", ["", "q\n"], ids=["end of file", "q"])
def test_the_end_of_the_input_and_q_end_it(saved, given):
    """The first run is shown, and no other; the comparison with the record still decides the status."""
    shown = CliRunner().invoke(cli, ["replay", str(saved), "--step"], input=given, standalone_mode=False)
    assert [number for number, _ in runs(shown.output)] == ["1"]
    assert shown.return_value == Exit.EXPECTED and "and the same outcome" in shown.output


def test_a_terminal_is_asked(saved):
    """Enter shows the second run, q ends it: through a pseudo-terminal."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([str(KEMU), "replay", str(saved), "--step"], stdin=theirs, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=PLAIN) as command:
            os.write(ours, b"\nq\n")
            shown, _ = command.communicate()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.findall(r"run (\d+) of", shown) == ["1", "2"], shown
    assert shown.count("Enter for the next switch, q to end: ") == 2
    assert command.returncode == Exit.EXPECTED


def test_the_locks_are_shown_with_the_tasks_that_took_them():
    """At the end of a deadlock of three each has one."""
    trials = hold_trials(deadlock.race, "before", Random(1), schedules=5000)
    *_, last = walk(trials.record)
    locks = re.search(r"^locks: (.*)", last, re.MULTILINE)
    assert locks and all(f"({party})" in locks[1] for party in ("zero", "one", "two")), last


def test_a_store_is_shown_in_its_buffer_until_it_reaches_memory():
    """A state that is set without a barrier waits in the buffer, and the buffer is empty at the end."""
    trials = hold_trials(exhibit("state-without-barrier"), "before", Random(1), schedules=5000, memory="tso")
    texts = list(walk(trials.record))
    assert any(re.search(r"^buffer of CPU 1: .*sleeper\.state = 1", text, re.MULTILINE) for text in texts)
    assert "buffer of" not in texts[-1]


def test_every_step_is_shown_if_asked():
    """As many lines as the record has steps."""
    record = hold_trials(exhibit(LOST), "before", Random(1), schedules=5000).record
    lines = "".join(walk(record, every_step=True)).splitlines()
    assert sum(line.startswith("   ") for line in lines) == len(record.steps)
