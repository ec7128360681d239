"""Counts and verdicts."""

from __future__ import annotations

import pytest

from kemu.harness.verdict import Exit, Outcome, Side, Verdict


@pytest.mark.parametrize(("side", "verdict"), [
    (Side("before", "forced", trials=5, witnessed=5, hits=5), Verdict.HIT),
    (Side("before", "forced", trials=5, witnessed=5, hits=4), Verdict.MISSED),
    (Side("before", "free", trials=5, witnessed=5), Verdict.UNKNOWN),
    (Side("before", "free", trials=5, witnessed=5, hits=1, doubts=["x"]), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, witnessed=5), Verdict.CLEAN),
    (Side("after", "free", trials=5), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, witnessed=5, doubts=["x"]), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, witnessed=5, hits=1), Verdict.BROKEN)])
def test_verdict(side, verdict):
    """What is not proven is UNKNOWN, never clean."""
    assert side.verdict is verdict


def test_exit_is_the_worst():
    """Unexpected beats unknown, unknown beats expected."""
    hit, unknown = Side("before", "free", witnessed=1, hits=1), Side("after", "free")
    broken = Side("after", "free", witnessed=1, hits=1)
    exits = [Outcome("r", "free", 1, {"before": hit, "after": after}).exit
             for after in (hit, unknown, broken)]
    assert exits == [Exit.EXPECTED, Exit.UNKNOWN, Exit.UNEXPECTED]
