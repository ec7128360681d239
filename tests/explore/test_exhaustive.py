"""The exhaustive search holds every schedule within its bound, and each exactly once."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

import kemu
from kemu import native
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.trials import hold_trials
from kemu.harness.trial import Trial


class Cells(kemu.PerCPU):
    """What the small programs write."""

    one = kemu.Word()
    two = kemu.Word()


def program(*bodies):
    """A race whose actors run these bodies, each on a CPU of its own."""
    race = kemu.Race("small", cpus=len(bodies))
    for cpu, body in enumerate(bodies):
        def actor(t: Trial, body=body) -> None:
            body(Cells.on(0))
        actor.__name__ = f"actor{cpu}"
        race.actor(cpu=cpu)(actor)
    return race


class Keeping(Exhaustive):
    """Keeps the steps of every schedule."""

    def __init__(self, preemptions: int) -> None:
        super().__init__(preemptions)
        self.records = []

    def learn(self, plan, choices, steps):
        super().learn(plan, choices, steps)
        self.records.append(tuple(steps))


class Forgetful(Keeping):
    """A wrong subject: forgets one schedule."""

    def learn(self, plan, choices, steps):
        super().learn(plan, choices, steps)
        if self.held == 5:
            next(some for some in self.waiting.values() if some).pop()


def store_one(times):
    def body(cells):
        for _ in range(times):
            cells.one.store(1)
    return body


def segments(steps, cpus):
    """How many steps each CPU can be switched away before."""
    done = set()
    counts = [0] * cpus
    for step in steps:
        kept = step.op == native.OP_POINT or step.task in done
        counts[step.cpu] += not kept
        if step.op == native.OP_POINT:
            done.add(step.task)         # the only point that these programs pass is "done"
    return counts


def merges(first, second):
    """Every order of so many steps of CPU 0 and so many of CPU 1, by hand."""
    for places in combinations(range(first + second), first):
        yield [0 if place in places else 1 for place in range(first + second)]


def preemptions(order):
    """Switches away from a CPU that has steps left."""
    return sum(a != b and a in order[place + 1:]
               for place, (a, b) in enumerate(pairwise(order)))


def searched(race, bound, kind=Keeping):
    return hold_trials(race, "after", kind(bound), schedules=100_000).strategy


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (3, 2)])
def test_it_holds_as_many_schedules_as_there_are(sizes, bound):
    """The count equals that of the orders of steps, counted without the search."""
    found = searched(program(*map(store_one, sizes)), bound)
    counts = segments(found.records[0], 2)
    assert found.held == sum(preemptions(order) <= bound for order in merges(*counts))


def test_without_a_bound_it_holds_every_order():
    """With more preemptions than there are steps, all orders are held, and no two are the same."""
    found = searched(program(store_one(2), store_one(2)), 20)
    counts = segments(found.records[0], 2)
    orders = {tuple((step.cpu, step.op, step.word) for step in steps) for steps in found.records}
    assert found.held == len(list(merges(*counts))) == len(orders)


def test_a_search_that_skips_a_schedule_is_caught():
    """The wrong subject has fewer schedules than there are orders."""
    found = searched(program(store_one(2), store_one(1)), 20, Forgetful)
    counts = segments(found.records[0], 2)
    assert found.held < len(list(merges(*counts)))


def add_one(cells):
    """Not atomic."""
    cells.one.store(cells.one.load() + 1)


def announce_and_look(cells):
    cells.one.store(1)
    cells.two.store(cells.two.load() + cells.one.load())


LOST, BOTH = 1, 2


@pytest.mark.parametrize(("bound", "sums"), [(0, {BOTH}), (1, {LOST, BOTH}), (2, {LOST, BOTH})])
def test_an_addition_is_lost_with_one_preemption(bound, sums):
    """Two additions that are not atomic: with no preemption both count, with one it can be lost."""
    found = searched(program(add_one, add_one), bound)
    last = [max(step.value for step in steps if step.op == native.OP_STORE and step.value in (LOST, BOTH)
                and step.word == word_of_one(steps)) for steps in found.records]
    assert set(last) == sums


def word_of_one(steps):
    """Where the sum is: the word of the first load by an actor."""
    return next(step.word for step in steps if step.op == native.OP_LOAD)
