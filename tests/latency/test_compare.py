"""The ratio of two runs, and whether its interval holds what it says."""

from __future__ import annotations

import json
import random

import pytest

from kemu.errors import UsageError
from kemu.latency import compare
from kemu.latency.compare import SCHEMA, load_run, ratio_of_medians


def run_with(rounds, **more):
    return {"schema": SCHEMA, "series": [
        {"measure": "unpark", "cores": [0, 1], "interval_us": 0, "poll_us": 200, "rounds_ns": rounds} | more]}


def test_twice_as_slow():
    """The ratio is 2, and the interval is on one side of 1."""
    draw = random.Random(7)
    old = [draw.gauss(1000, 30) for _ in range(30)]
    (found,) = compare.compare(run_with([2 * ns for ns in old]), run_with(old))
    assert found.value == pytest.approx(2)
    assert 1 < found.low < 2 < found.high
    assert found.word == "slower"


def test_coverage():
    """For two equal runs, about one interval in twenty misses 1, as the bootstrap promises."""
    draw = random.Random(3)
    missed = 0
    for _ in range(150):
        one, other = ([draw.lognormvariate(7, .1) for _ in range(25)] for _ in range(2))
        _, low, high = ratio_of_medians(one, other)
        missed += not low <= 1 <= high
    assert missed <= 20         # 7.5 are expected; 21 or more come once in 20,000 times


def test_runs_with_nothing_in_common():
    """A run with other cores, another interval or other polling gives no ratio."""
    for more in ({"cores": [2, 3]}, {"interval_us": 5}, {"poll_us": 0}, {"measure": "park"}):
        with pytest.raises(UsageError, match="in common"):
            compare.compare(run_with([1.0]), run_with([1.0], **more))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"schema": "x"}), "\0"])
def test_what_is_no_run_is_refused(tmp_path, text):
    """With the file's name."""
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"run\.json"):
        load_run(path)
