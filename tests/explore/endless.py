"""Two actors that poll for what never comes."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial


class Shared(kemu.PerCPU):
    never = kemu.Word()


race = kemu.Race("endless", cpus=2)


def poll(t: Trial) -> None:
    with t.window():
        while not Shared.on(0).never.load():
            pass


@race.actor(cpu=0)
def one(t: Trial) -> None:
    poll(t)


@race.actor(cpu=1)
def other(t: Trial) -> None:
    poll(t)


@race.invariant()
def it_came(t: Trial) -> None:
    assert Shared.on(0).never.load()
