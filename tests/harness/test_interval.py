"""The interval of a rate: its values, and how often it holds the rate."""

from __future__ import annotations

import random

import pytest

from kemu.harness.interval import CONFIDENCE, at_least, interval

RUNS = 2000


@pytest.mark.parametrize(("hits", "trials", "low", "high"), [
    (0, 0, 0.0, 1.0), (0, 100, 0.0, 0.03622), (0, 30_000, 0.0, 1.2296e-4),
    (100, 100, 0.96378, 1.0), (1, 10, 0.002529, 0.445016), (5, 100, 0.016432, 0.112835),
    (50, 100, 0.398321, 0.601679)])
def test_values(hits, trials, low, high):
    """Clopper's and Pearson's tables, two-sided at zero hits as everywhere."""
    assert interval(hits, trials) == pytest.approx((low, high), rel=1e-3)


def test_tail_by_addition():
    """The incomplete beta function is the sum of the binomial terms."""
    from math import comb

    for trials, hits, rate in [(20, 3, 0.1), (50, 25, 0.5), (200, 1, 0.001)]:
        tail = sum(comb(trials, k) * rate ** k * (1 - rate) ** (trials - k)
                   for k in range(hits, trials + 1))
        assert at_least(hits, trials, rate) == pytest.approx(tail)


def run(draw: random.Random, rate: float, limit: int, enough: int) -> tuple[int, int, bool]:
    """A run that stops at its last trial, or at the hit that is enough: hits, trials, whether so."""
    hits = 0
    for trial in range(1, limit + 1):
        hits += draw.random() < rate
        if hits == enough:
            return hits, trial, True
    return hits, limit, False


def coverage(rate: float, limit: int, enough: int, interval=interval) -> float:
    """In which part of the runs the interval holds the rate."""
    draw, known = random.Random(7), {}
    held = 0
    for _ in range(RUNS):
        result = run(draw, rate, limit, enough)
        if result not in known:
            low, high = interval(*result)
            known[result] = low <= rate <= high
        held += known[result]
    return held / RUNS


@pytest.mark.parametrize("rate", [0.003, 0.01, 0.03, 0.1, 0.3, 0.9])
@pytest.mark.parametrize(("limit", "enough"), [(300, 5), (100_000, 5), (300, 1), (300, 10 ** 9)])
def test_coverage(rate, limit, enough):
    """At least 95 % of runs, whichever of the two limits stops them."""
    assert coverage(rate, limit, enough) >= CONFIDENCE - 0.01     # the draw's own error


def test_a_wrong_interval_is_noticed():
    """An interval that is too narrow, as Wilson's is after the fifth hit, fails the test above."""
    def narrow(hits, trials, stopped):
        low, high = interval(hits, trials, stopped)
        middle = hits / trials
        return middle - (middle - low) * 0.8, middle + (high - middle) * 0.8

    assert coverage(0.01, 100_000, 5, narrow) < CONFIDENCE - 0.01
