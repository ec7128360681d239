"""Progress and answers, where there is no terminal."""

from __future__ import annotations

from kemu.cli import show


def test_a_pipe_gets_a_line_now_and_then(capsys, monkeypatch):
    """The first call comes too early for a line; later, one line is not cut however long it is."""
    with show.Progress("a race") as progress:
        progress.say("too early")
        monkeypatch.setattr(show, "TELL_SECONDS", 0.0)
        progress.say("word " * 60)
    said = capsys.readouterr().err.splitlines()
    assert [line[:11] for line in said] == ["a race word"]


def test_answers_in_a_pipe_are_plain(capsys, monkeypatch):
    """No colour, no wrapping, and nothing is taken for markup."""
    monkeypatch.setenv("COLUMNS", "20")
    text = "before  [bold]a name that is longer than the terminal[/bold]  HIT"
    show.Answers().show(text)
    assert capsys.readouterr().out == text + "\n"


def test_standard_output_belongs_to_json(capsys):
    """With --json - the answers go to standard error."""
    show.Answers("-").show("a table")
    assert capsys.readouterr() == ("", "a table\n")
