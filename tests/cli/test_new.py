"""``kemu new``: what it writes runs as it is, and it destroys nothing."""

from __future__ import annotations

import pytest

from kemu.exits import Exit
from tests.cli.terminal import shell


def test_the_template_runs(tmp_path):
    """From an empty folder: the commands that `kemu new` prints end as expected."""
    told = shell("kemu new 'a mailbox.py'", tmp_path)
    commands = [line.strip() for line in told.stdout.splitlines() if line.startswith("    ")]
    assert commands == ["kemu race 'a mailbox.py'", "kemu race 'a mailbox.py' --how jitter"]
    forced = shell(f"{commands[0]} --trials 5", tmp_path)
    assert forced.returncode == Exit.EXPECTED, forced.stdout + forced.stderr
    again = next(line.strip() for line in forced.stdout.splitlines() if "--side before" in line)
    assert shell(again, tmp_path).returncode == Exit.EXPECTED


def test_the_template_is_a_test(tmp_path):
    """pytest finds the test in it, by the file's name."""
    shell("kemu new test_box.py", tmp_path)
    ended = shell("python -m pytest -q -p no:cacheprovider test_box.py", tmp_path)
    assert (ended.returncode, "1 passed" in ended.stdout) == (0, True), ended.stdout
    assert "def test_box(" in (tmp_path / "test_box.py").read_text()


@pytest.mark.parametrize(("name", "says"), [("mine.py", "exists"), ("mine", "ends with .py"),
                                            ("no/where.py", "No such file"), (".", "directory")])
def test_refusals(name, says, tmp_path):
    """A file that exists keeps what it holds."""
    (tmp_path / "mine.py").write_text("mine")
    ended = shell(f"kemu new {name}", tmp_path)
    assert (ended.returncode, says in ended.stderr) == (Exit.MISUSE, True), ended.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("mine.py", "mine")]
