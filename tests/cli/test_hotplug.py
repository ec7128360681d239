"""What kemu hotplug says in the end."""

from __future__ import annotations

import json

import pytest

from kemu.exits import Exit
from kemu.cli.hotplug import Plan, run_and_show


@pytest.mark.parametrize(("seconds", "cycles", "status", "word"),
                         [(1e-9, None, Exit.UNKNOWN, "UNKNOWN, no cycle done"),
                          (1.0, 1, Exit.EXPECTED, "SUCCESS")])
def test_the_last_line(capsys, tmp_path, seconds, cycles, status, word):
    """A run in which no CPU went down and came up has shown nothing."""
    said = tmp_path / "said.json"
    assert run_and_show(Plan(2, seconds, cycles, 1, "4.13"), str(said)) == status
    assert f"--- End of test: {word}: kernel=4.13 cpus=2" in capsys.readouterr().out
    assert bool(json.loads(said.read_text())["cycles"]) == (status == Exit.EXPECTED)
