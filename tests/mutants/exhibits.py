"""Torture and the exhibits, each command as a test: what judges a mutant without the suite.

A command fails if its exit status says that something is wrong.  UNKNOWN is not a failure, because
a loaded machine can cause it.  The file is not collected by `make test`.

Callers: run, survey, by name.
"""

from __future__ import annotations

import sys

import pytest

from kemu.cli import main
from kemu.exits import Exit
from kemu.races import BARRIERS, FORCED

NOT_A_KILL = {Exit.EXPECTED, Exit.UNKNOWN}
COMMANDS = [
    *(["race", name, "--how", "forced", "--trials", "3"] for name in FORCED),
    *(["race", name, "--seconds", "5"] for name in BARRIERS),
    ["torture", "--duration", "1", "--mix", "register", "--cpus", "2"],
    ["torture", "--duration", "3"],
    ["torture", "--duration", "3", "--jitter", "--cpus", "3"],
    ["torture", "--duration", "3", "--kernel", "2.6.6"],
    ["torture", "--duration", "3", "--kernel", "2.6.6", "--jitter", "--cpus", "3"],
    *(["race", name, "--how", "jitter", "--seconds", "2", "--side", "after"] for name in FORCED),
]


@pytest.fixture
def nothing_leaks():
    """A leak is the suite's to find."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command(command, monkeypatch, tmp_path):
    """The command says that everything is as expected, or that it does not know."""
    monkeypatch.setattr(sys, "argv", ["kemu", *command])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in NOT_A_KILL
