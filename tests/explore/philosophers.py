"""Three parties each take two mutexes, in a circle, and all sleep; after the fix, in order."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock


class Table(kemu.PerCPU):
    """One fork for each party, on its left."""

    fork = kemu.Embedded(Mutex)


race = kemu.Race("philosophers", cpus=3, expects="a cycle of waits")


def first_and_second(party: int) -> tuple[int, int]:
    """The fixed order: the lower number first."""
    return min(party, (party + 1) % 3), max(party, (party + 1) % 3)


@race.before(first_and_second)
def left_then_right(party: int) -> tuple[int, int]:
    """As shipped: the own one first."""
    return party, (party + 1) % 3


def eat(t: Trial, party: int) -> None:
    first, second = first_and_second(party)
    with t.window():
        mutex_lock(Table.on(first).fork)
        mutex_lock(Table.on(second).fork)
    mutex_unlock(Table.on(second).fork)
    mutex_unlock(Table.on(first).fork)


@race.actor(cpu=0)
def zero(t: Trial) -> None:
    eat(t, 0)


@race.actor(cpu=1)
def one(t: Trial) -> None:
    eat(t, 1)


@race.actor(cpu=2)
def two(t: Trial) -> None:
    eat(t, 2)
