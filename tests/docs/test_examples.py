"""Every example of the README and of the documentation runs, and prints what the page says."""

from __future__ import annotations

import pytest

from kemu.races import EXHIBITS
from tests.docs.pages import EXAMPLES, PAGES, ROOT, blocks, run_page

WITH_EXAMPLES = [page for page in PAGES
                 if any(block.language in EXAMPLES and "show" not in block.words for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of(page, tmp_path):
    """The examples of a page run in order, in an empty folder."""
    run_page(page, tmp_path)


def test_no_example_hides_in_a_list():
    """A block that is indented is found by no collector."""
    assert [page for page in PAGES for line in page.read_text().splitlines()
            if line.startswith((" ```python", "  ```python", "   ```"))] == []


def test_the_readme_names_every_race():
    """And it is short."""
    text = (ROOT / "README.md").read_text()
    assert [name for name in EXHIBITS if name not in text] == []
    assert text.count("\n") <= 150
