"""Litmus tests: a few loads and stores on a few CPUs, and which outcomes a memory model gives.

A program is a text, a column for each CPU, as herd has it:

    W x 1       store             R x     load
    Wrel x 1    store, release    Racq x  load, acquire
    mb, wmb, rmb                  the barriers

``outcomes`` holds every schedule of a program, up to a bound, and returns the set of what it gave:
what each load read, in the order of the columns, then what each word held at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import kemu
from kemu import native
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.plan import Plan
from kemu.explore.record import Step
from kemu.explore.trials import hold_trials
from kemu.harness.trial import Trial
from kemu.kernel import barrier

BARRIERS = {"mb": barrier.smp_mb, "wmb": barrier.smp_wmb, "rmb": barrier.smp_rmb}


class Litmus(kemu.PerCPU):
    """The words of CPU 0, which all CPUs share."""

    x = kemu.Word()
    y = kemu.Word()


def run(column: list[str]) -> None:
    """What one CPU does."""
    words = Litmus.on(0)
    for line in column:
        what, *rest = line.split()
        if what in BARRIERS:
            BARRIERS[what]()
        elif what == "W":
            getattr(words, rest[0]).store(int(rest[1]))
        elif what == "Wrel":
            barrier.smp_store_release(getattr(words, rest[0]), int(rest[1]))
        elif what == "X":
            getattr(words, rest[0]).xchg(int(rest[1]))
        elif what == "Racq":
            barrier.smp_load_acquire(getattr(words, rest[0]))
        else:
            assert what == "R", line
            getattr(words, rest[0]).load()


def race_of(columns: list[list[str]]) -> kemu.Race:
    """A race whose actors run the columns, each on a CPU of its own."""
    race = kemu.Race("litmus", cpus=len(columns))
    for cpu, column in enumerate(columns):
        def actor(t: Trial, column: list[str] = column) -> None:
            run(column)
        actor.__name__ = f"P{cpu}"
        race.actor(cpu=cpu)(actor)
    return race


class Collecting(Exhaustive):
    """Every schedule, and what each one gave."""

    def __init__(self, preemptions: int) -> None:
        super().__init__(preemptions)
        self.seen: set[tuple[int, ...]] = set()

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        super().learn(plan, choices, steps)
        self.seen.add(outcome(steps, (Litmus.on(0).x.offset, Litmus.on(0).y.offset)))


def outcome(steps: Sequence[Step], words: tuple[int, int]) -> tuple[int, ...]:
    """What the loads read, CPU by CPU; then x and y at the end."""
    mine = [step for step in steps if step.word in words]
    loads = [step for step in mine if step.op == native.OP_LOAD]
    end = {step.word: step.after for step in mine if step.flags & native.STEP_WRITES}
    return (*(step.seen for step in sorted(loads, key=lambda step: step.cpu)),
            *(end.get(word, 0) for word in words))


def outcomes(columns: list[list[str]], memory: str, preemptions: int) -> set[tuple[int, ...]]:
    """What the program can give, by every schedule within the bound."""
    trials = hold_trials(race_of(columns), "after", Collecting(preemptions), schedules=1 << 30,
                         audit_every=1 << 30, memory=memory)
    assert trials.finding is None, trials.text
    assert isinstance(trials.strategy, Collecting) and not trials.strategy.left
    return trials.strategy.seen
