"""How a command ends: statuses, closed pipes, streams that are not there, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from kemu.cli import endings
from kemu.exits import Exit
from tests.cli.terminal import KEMU, PLAIN, kemu, shell


@pytest.mark.parametrize(("line", "status"), [
    ("kemu races >&-", Exit.EXPECTED),
    ("kemu races 2>&-", Exit.EXPECTED), ("kemu races > /dev/full", Exit.MISUSE),
    ("kemu race nobody", Exit.MISUSE), ("kemu race", Exit.MISUSE), ("kemu frob", Exit.MISUSE),
    ("kemu --version", Exit.EXPECTED), ("kemu hotplug --json /nowhere/said", Exit.MISUSE)])
def test_status(line, status, tmp_path):
    """A command that did not run ends with the status for the reason, and says it in one line."""
    ended = shell(line, tmp_path)
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert "bug of kemu" not in ended.stderr


def test_closed_pipe():
    """A reader that has gone ends a command quietly, with the status of SIGPIPE."""
    command = subprocess.Popen([KEMU, "races"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=PLAIN, text=True)
    command.stdout.close()
    assert (command.stderr.read(), command.wait()) == ("", Exit.PIPE_CLOSED)
    command.stderr.close()


@pytest.mark.parametrize("args", [
    ("race", "unpark-wrong-cpu", "--how", "jitter", "--side", "after", "--seconds", "60"),
    ("race", "lost-wakeup", "--how", "random", "--side", "after", "--seconds", "60"),
    ("hotplug", "--seconds", "60")])
def test_ctrl_c_shows_what_was_counted(args, tmp_path):
    """Ctrl-C ends a run with 130 and the table of what was counted until then."""
    with subprocess.Popen([KEMU, "-v", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=PLAIN, text=True) as command:
        while "booted" not in command.stderr.readline():
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate()
    assert command.returncode == Exit.INTERRUPTED
    assert ("onoff: " if args[0] == "hotplug" else "after: unknown, because Ctrl-C") in said
    assert "interrupted" in said.lower()


def interrupted_in_a_class() -> None:
    """As Python reports a Ctrl-C that comes while a class is made."""
    raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()


def test_ctrl_c_that_python_wraps_is_ctrl_c(capsys):
    """An error whose cause is Ctrl-C ends with 130, and is not a bug of kemu."""
    with pytest.raises(SystemExit) as ended:
        endings.run(interrupted_in_a_class)
    assert ended.value.code == Exit.INTERRUPTED
    assert capsys.readouterr().err == "kemu: interrupted\n"


def test_ctrl_c_waits_for_the_end_of_an_import():
    """Ctrl-C during the import of a command comes when the import has ended."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    imported = False
    try:
        with pytest.raises(KeyboardInterrupt), endings.ctrl_c_later():
            os.kill(os.getpid(), signal.SIGINT)
            imported = True
    finally:
        signal.signal(signal.SIGINT, before)
    assert imported


def test_the_first_lines_say_what_kemu_is():
    """`kemu --help` names every command with a whole sentence that is not cut."""
    _, said = kemu("--help").stdout.split("\n", 1)
    assert "..." not in said
    assert [word for word in ("demo", "races", "race", "hotplug") if f"\n  {word} " not in said] == []
