"""A race of three parties that each take two locks, in a circle; after the fix, in order."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial


class Forks(kemu.PerCPU):
    """One for each party, on its left."""

    fork = kemu.Lock()


race = kemu.Race("three-parties", cpus=3, expects="deadlock")


def first_and_second(party: int) -> tuple[int, int]:
    """The fixed order: the lower number first."""
    return min(party, (party + 1) % 3), max(party, (party + 1) % 3)


@race.before(first_and_second)
def left_then_right(party: int) -> tuple[int, int]:
    """As shipped: the own one first."""
    return party, (party + 1) % 3


def eat(party: int) -> None:
    first, second = first_and_second(party)
    Forks.on(first).fork.lock()
    Forks.on(second).fork.lock()
    Forks.on(second).fork.unlock()
    Forks.on(first).fork.unlock()


@race.actor(cpu=0)
def zero(t: Trial) -> None:
    with t.window():
        eat(0)


@race.actor(cpu=1)
def one(t: Trial) -> None:
    with t.window():
        eat(1)


@race.actor(cpu=2)
def two(t: Trial) -> None:
    with t.window():
        eat(2)
