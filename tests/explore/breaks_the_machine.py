"""Two actors whose one schedule leaves the machine miscounted, which only an audit sees."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.sched.runqueue import runqueues


class Shared(kemu.PerCPU):
    count = kemu.Word()


race = kemu.Race("breaks-the-machine", cpus=3)


def add() -> None:
    """In one operation."""
    Shared.on(0).count.add(1)


@race.before(add)
def add_in_two_steps() -> None:
    Shared.on(0).count.store(Shared.on(0).count.load() + 1)


@race.actor(cpu=0)
def one(t: Trial) -> None:
    add()


@race.actor(cpu=1)
def other(t: Trial) -> None:
    add()


@race.conclude
def miscount(t: Trial) -> None:
    """A lost addition breaks CPU 2, on which nothing runs."""
    if Shared.on(0).count.load() == 1:
        runqueues[2].fair_nr.add(1)
