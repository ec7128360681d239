"""The exit statuses, and what several of them make together."""

from __future__ import annotations

import pytest

from kemu.exits import SEVERITY, Exit, worst


@pytest.mark.parametrize(("parts", "whole"), [
    ([], Exit.EXPECTED), ([Exit.EXPECTED, Exit.UNKNOWN], Exit.UNKNOWN),
    ([Exit.UNEXPECTED, Exit.UNKNOWN, Exit.EXPECTED], Exit.UNEXPECTED),
    ([Exit.UNEXPECTED, Exit.INTERRUPTED], Exit.INTERRUPTED)])
def test_worst(parts, whole):
    """An unexpected part outweighs an unknown one, although its number is lower."""
    assert worst(parts) is whole


def test_each_status_has_a_severity():
    """worst() can judge every status."""
    assert sorted(SEVERITY) == sorted(Exit)
