"""Caches know one machine from the next, also where the one was never closed."""

from __future__ import annotations

import gc

from kemu import Machine


def one() -> int:
    return 1


def two() -> int:
    return 2


def test_machines_that_are_forgotten():
    """A new memory may get the address of an old one: what was published there is not here."""
    for number in range(12):
        machine = Machine(1)
        order = (one, two) if number % 2 else (two, one)
        assert [machine.run(function) for function in order] == [f() for f in order]
        del machine
        gc.collect()
