"""The reduced search finds every outcome that the whole enumeration finds, and holds fewer schedules."""

from __future__ import annotations

import random

import pytest

from kemu import native
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.order import Order
from kemu.explore.reduced import Reduced
from tests.explore.programs import PROGRAMS, any_program
from tests.explore.toy import outcomes

BOUNDS = [0, 1, 2, 3, None]


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_finds_every_outcome(name, bound):
    """Brute force and the reduction agree on each of the small programs, within each bound."""
    whole, reduced = Exhaustive(bound), Reduced(bound)
    assert outcomes(PROGRAMS[name], whole) == outcomes(PROGRAMS[name], reduced)
    assert reduced.held <= whole.held


@pytest.mark.parametrize("seed", range(40))
def test_it_finds_every_outcome_of_any_program(seed):
    """Programs that nobody chose: loads, stores, additions, branches, locks and waits at random."""
    program = any_program(random.Random(seed))
    for bound in (0, 1, 2):
        assert outcomes(program, Exhaustive(bound)) == outcomes(program, Reduced(bound))


def test_independent_steps_are_held_in_one_order():
    """Three CPUs that share no word: one schedule."""
    reduced = Reduced(None)
    outcomes(PROGRAMS["apart"], reduced)
    assert reduced.held == 1
    assert reduced.proves().startswith("all 1 schedules (up to the order of independent steps) with any")


class IgnoresTwoWrites(Order):
    """A wrong subject: two writes of one word do not depend on each other."""

    def conflicting(self, step):
        found = super().conflicting(step)
        return [] if self.writes(step) and not step.flags & native.STEP_READS else found


class IgnoresReads(Order):
    """A wrong subject: a read does not depend on a write."""

    def conflicting(self, step):
        return [] if step.op == native.OP_LOAD else super().conflicting(step)


class IgnoresLocks(Order):
    """A wrong subject: a lock does not depend on another one."""

    def conflicting(self, step):
        return [] if step.op == native.OP_LOCK else super().conflicting(step)


class AtTheRaceOnly(Reduced):
    """A wrong subject: chooses another CPU before the first step of a race, and nowhere else."""

    def _places(self, trial, head):
        return {head}


def with_order(kind):
    class Wrong(Reduced):
        orders = kind
    return Wrong


def is_caught(wrong):
    """Whether some of the programs has an outcome that the subject misses."""
    return any(outcomes(program, Exhaustive(bound)) != outcomes(program, wrong(bound))
               for program in PROGRAMS.values() for bound in BOUNDS)


@pytest.mark.parametrize("wrong", [with_order(IgnoresTwoWrites), with_order(IgnoresReads),
                                   with_order(IgnoresLocks), AtTheRaceOnly])
def test_a_wrong_dependence_is_caught(wrong):
    """The comparison fails for a search that takes too little as dependent."""
    assert is_caught(wrong)
