"""The 95 % interval of a rate: Clopper and Pearson's, two-sided, for every count.

A run stops at a number of trials, or at its n-th hit, whichever comes first.  The interval
inverts the exact tails of that rule:

    low     the rate at which so many hits, or the n-th hit so early, have 2.5 %
    high    the rate at which so few hits, or the n-th hit so late, have 2.5 %

For a run that stopped at its n-th hit, the trials are a negative binomial variable: the last
trial is a hit because the run stopped there, so only the trials before it can say that hits
are few.  So ``low`` is the same for both rules, and ``high`` is not.  The method is exact: at
every rate, at least 95 % of runs give an interval that holds it
(C. Clopper and E. Pearson, Biometrika 26, 1934).

Linux: none; kemu's own.
Locks: none.  Callers: verdict.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95
NAME = "Clopper-Pearson, two-sided"
BISECTIONS = 200


def interval(hits: int, trials: int, stopped_at_hit: bool = False) -> tuple[float, float]:
    """The interval of the rate of hits.  (0, 1) if there were no trials.

    stopped_at_hit: the run ended because it had as many hits as it wanted.
    """
    if not trials:
        return 0.0, 1.0
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if not hits else _solve(lambda p: at_least(hits, trials, p) - tail)
    if stopped_at_hit and hits:
        few, of = hits - 1, trials - 1      # up to the trial before the last
    else:
        few, of = hits, trials
    high = 1.0 if few >= of else _solve(lambda p: tail - (1 - at_least(few + 1, of, p)))
    return low, high


def _solve(rising) -> float:  # type: ignore[no-untyped-def]
    """The rate at which a function that rises with the rate crosses zero."""
    below, above = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (below + above) / 2
        if middle in (below, above):
            break
        below, above = (middle, above) if rising(middle) < 0 else (below, middle)
    return (below + above) / 2


def at_least(hits: int, trials: int, rate: float) -> float:
    """The probability of so many hits or more in so many trials: an incomplete beta function."""
    if hits <= 0:
        return 1.0
    if hits > trials or rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    return _incomplete_beta(hits, trials - hits + 1, rate)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularized I_x(a, b), by Lentz's evaluation of its continued fraction."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
                     + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, c, d = 1e-300, 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 10_000):
        for numerator in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                          -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1 + numerator * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + numerator / c
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction
