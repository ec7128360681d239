"""Two actors, of which one asks the clock what to do: no two trials are the same."""

from __future__ import annotations

import time

import kemu
from kemu.harness.trial import Trial


class Shared(kemu.PerCPU):
    word = kemu.Word()


race = kemu.Race("asks-the-clock", cpus=2)


@race.actor(cpu=0)
def asks(t: Trial) -> None:
    Shared.on(0).word.store(1)
    Shared.on(0).word.store(time.perf_counter_ns())


@race.actor(cpu=1)
def looks(t: Trial) -> None:
    Shared.on(0).word.load()
