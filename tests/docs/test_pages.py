"""The collector of examples finds what is wrong in a page."""

from __future__ import annotations

import pytest

from tests.docs.pages import PageError, blocks, matches, run_page
from tests.docs.record import record


def run(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    (tmp_path / "room").mkdir()
    run_page(page, tmp_path / "room")


@pytest.mark.parametrize(("text", "said"), [
    ("```python\nraise SystemExit(3)\n```\n", "status 3, not 0"),
    ("```python\nprint(1)\n```\n```text output\n2\n```\n", "the page says\n\n2"),
    ("```console\n$ echo one\ntwo\n```\n", "echo one printed"),
    ("```console\n$ true\n$ echo one\ntwo\n```\n", "echo one printed"),
    ("```console exit=1\n$ true\n```\n", "status 0, not 1"),
    ("```console recorded\n$ echo before 7 UNKNOWN\nbefore 5 HIT\n```\n", "the page says\n\nHIT"),
    ("```console\necho one\n```\n", "begins with a command"),
    ("```bash\nfalse\n```\n", "a block of 'bash'"),
    ("```python shown\nraise SystemExit(3)\n```\n", "the word 'shown' is unknown"),
])
def test_refuses(tmp_path, text, said):
    """An example that fails, that prints something else, or that would not be run."""
    with pytest.raises(PageError, match=r"line [14]:") as caught:
        run(tmp_path, text)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", [
    "```python\nprint(1)\n```\nwords\n```text output\n1\n```\n",
    "```python file=mine.py\nprint('mine')\n```\n```console\n$ python mine.py\nmine\n```\n",
    "```console recorded\n$ echo before 7 HIT\nbefore 5 HIT\n```\n",
    "```python file=a.py\nx = 1\n```\n```python more=a.py\nprint(x)\n```\n"
    "```console\n$ python a.py\n1\n```\n",
    "```python show\nraise SystemExit(3)\n```\n",
    "```{toctree}\nmine\n```\n",
])
def test_takes(tmp_path, text):
    """An example that is as the page says, one that is only shown, and a directive."""
    run(tmp_path, text)


def test_dots_stand_for_any_text():
    """They match over lines; the rest must be equal."""
    assert matches("a ... c", "a b\nb c\n")
    assert not matches("a ... c", "a b\nb d\n")
    assert not matches("a", "a\nb")


def test_says_where(tmp_path):
    """A block knows its line and its words."""
    page = tmp_path / "page.md"
    page.write_text("one\n\n```console exit=1 recorded\n$ false\n```\n")
    block, = blocks(page)
    assert (block.line, block.language, block.words) == (3, "console", ("exit=1", "recorded"))


def test_record_writes_recorded_outputs_anew(tmp_path):
    """Only those: another block stays as it is."""
    page = tmp_path / "page.md"
    page.write_text("```console recorded\n$ echo 2\n1\n$ echo HIT\n```\n```console\n$ echo 3\n3\n```\n")
    record(page)
    assert page.read_text() == (
        "```console recorded\n$ echo 2\n2\n$ echo HIT\nHIT\n```\n```console\n$ echo 3\n3\n```\n")
