"""How long a worker has stood still."""

from __future__ import annotations

from kemu.torture.liveness import Liveness


def test_only_the_worker_that_stands_still_is_lost():
    """Another worker's rounds do not count for it."""
    lives = Liveness(2, 0.0)
    for second in range(1, 7):
        lives.look(second, [second, 1], paused=False)
    assert lives.lost(4) == [1]


def test_a_pause_neither_adds_nor_forgets():
    """Six seconds of work without a round, with a pause after each, are six seconds."""
    lives = Liveness(1, 0.0)
    for second in range(1, 12):
        lives.look(second, [0], paused=second % 2 == 0)
    assert lives.lost(5) == [0]
    assert lives.lost(6) == []


def test_a_round_clears_what_was_counted():
    """A slow worker is not a lost one."""
    lives = Liveness(1, 0.0)
    lives.look(5, [0], paused=False)
    lives.look(6, [1], paused=False)
    assert lives.still == [0.0]
