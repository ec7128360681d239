"""What the site reads out of the code is complete."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, blocks

NUMBER = re.compile(r"\bS\d{1,2}\b")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
DEFINED = re.compile(r"^(S\d{1,2}): ", re.MULTILINE)


def test_every_invariant_of_the_code_is_defined():
    """A number that the kernel names has a meaning on the page."""
    named = {number for path in (ROOT / "kemu").rglob("*.py") for number in NUMBER.findall(path.read_text())}
    assert named - set(DEFINED.findall((ROOT / "docs/how/invariants.md").read_text())) == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page):
    """Sphinx checks the links of the site; these pages are read beside the code."""
    links = [link for link in LINK.findall((ROOT / page).read_text()) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_text_names_what_is_not_in_the_repository():
    """No page names a folder of the machine that it was written on."""
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    assert [page for page in pages if re.search(r"\bseed 00\d|/root/|/tmp/|/work/", page.read_text())] == []


def test_blocks_of_the_readme_are_found():
    """The collector sees a script, a file and a recorded command in the README."""
    found = [(block.language, *block.words) for block in blocks(ROOT / "README.md")]
    assert found == [("console", "recorded"), ("python",), ("python", "file=reactor.py")]
