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
MIXES = [
    "register --cpus 2 --duration 1",
    "states,stop,hotplug --cpus 3",
    "nowait,herd,wakers,hotplug --cpus 2",
    "park,repark,create,bind,hotplug --cpus 2",
    "roam,affinity,softirq,register,hotplug --cpus 3 --jitter",
    "execs,execs,helpers,flush,notifier,hotplug --cpus 2 --kernel 2.6.6",
    "park,affinity,softirq,repark,execs,hotplug --cpus 2 --jitter --kernel 2.6.6",
]
COMMANDS = [
    *(["race", name, "--how", "forced", "--trials", "3"] for name in FORCED),
    *(["race", name, "--seconds", "5"] for name in BARRIERS),
    *(["torture", "--duration", "2", "--mix", *mix.split()] for mix in MIXES),
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
