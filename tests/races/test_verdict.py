"""Counts, intervals and verdicts."""

from __future__ import annotations

import pytest

from kemu.exits import Exit
from kemu.harness.verdict import Outcome, Side, Verdict, interval


@pytest.mark.parametrize(("hits", "trials", "low", "high"), [
    (0, 0, 0.0, 1.0), (0, 30_000, 0.0, 9.985e-5), (100, 100, 0.963, 1.0),
    (1, 10, 0.0179, 0.4042), (50, 100, 0.4038, 0.5962)])
def test_interval(hits, trials, low, high):
    """Wilson's 95 % interval; with no hit, the exact bound: 0 in 30,000 is below 1e-4."""
    assert interval(hits, trials) == pytest.approx((low, high), rel=2e-3)


@pytest.mark.parametrize(("side", "verdict"), [
    (Side("before", "forced", trials=5, overlaps=5, hits=5), Verdict.HIT),
    (Side("before", "forced", trials=5, overlaps=5, hits=4), Verdict.MISSED),
    (Side("before", "free", trials=5, overlaps=5), Verdict.UNKNOWN),
    (Side("before", "free", trials=5, overlaps=5, hits=1, doubts=["x"]), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, overlaps=5), Verdict.CLEAN),
    (Side("after", "free", trials=5), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, overlaps=5, doubts=["x"]), Verdict.UNKNOWN),
    (Side("after", "free", trials=5, overlaps=5, hits=1), Verdict.BROKEN)])
def test_verdict(side, verdict):
    """What is not proven is UNKNOWN, never clean."""
    assert side.verdict is verdict


def test_exit_is_the_worst():
    """Unexpected beats unknown, unknown beats expected."""
    hit, unknown = Side("before", "free", overlaps=1, hits=1), Side("after", "free")
    broken = Side("after", "free", overlaps=1, hits=1)
    exits = [Outcome("r", "free", 1, {"before": hit, "after": after}).exit
             for after in (hit, unknown, broken)]
    assert exits == [Exit.EXPECTED, Exit.UNKNOWN, Exit.UNEXPECTED]
