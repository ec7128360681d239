"""What a race zeroes before each trial, and that the referee does not look for it each time."""

from __future__ import annotations

import sys

from kemu.harness.runner import Plan, run_race
from kemu.memory import current_memory
from kemu.memory.cleared import ClearedVariables
from kemu.memory.struct import PerCPU, Word
from kemu.memory.views import View
from tests.races.test_user_race import fixed, small_race

SEARCHES = {"symbol_name", View._fill.__name__}
WARM, TRIALS = 10, 60


class First(PerCPU):
    one = Word()
    two = Word()


class Later(PerCPU):
    word = Word()


class Kept(PerCPU, keep=True):
    word = Word()


def fill_and_clear():
    """What each variable holds after a clear() before which each word was 7."""
    held, variables = [], ClearedVariables(current_memory.get())
    words = [First.on(0).two, First.on(1).one, Kept.on(1).word]
    for later in (None, Later, None):       # Later comes into being between two calls
        words += [later.on(1).word] if later else []
        for word in words:
            word.store(7)
        variables.clear()
        held.append([word.load() for word in words])
    return held


def test_cleared(machine):
    """Every word on every CPU is zero, of new variables too; what is kept stays."""
    assert machine(2).run(fill_and_clear) == [[0, 0, 7], [0, 0, 7, 0], [0, 0, 7, 0]]


def symbol_without_block():
    """Another process has added the symbol, and has not yet stored its block."""
    memory = current_memory.get()
    name = f"{First._prefix}{Later.__module__}.{Later.__qualname__}"
    assert not memory.read(memory.symbol(name), 8).strip(b"\0")
    variables = ClearedVariables(memory)
    variables.clear()
    Later.on(0).word.store(7)
    variables.clear()
    return Later.on(0).word.load()


def test_block_comes_after_the_symbol(machine):
    """A variable whose block is not there yet is zeroed once it is."""
    assert machine(2).run(symbol_without_block) == 0


def test_referee_searches_once():
    """A trial makes no view of the header, and reads the names of no symbols but new ones."""
    race, searches = small_race(audit_every=1), []
    race.before(fixed)(lambda r: None)

    def profile(frame, event, argument):
        name = argument.__name__ if event == "c_call" else frame.f_code.co_name
        if event in ("call", "c_call") and name in SEARCHES:
            searches.append(name)

    @race.prepare
    def watch(t):
        if t.number == WARM:
            sys.setprofile(profile)

    @race.invariant()
    def searched_seldom(t):
        assert t.number < TRIALS or len(searches) < TRIALS - WARM, searches

    outcome = run_race(race, Plan("free", trials=TRIALS), sides=("after",))
    assert outcome.after.trials == TRIALS
    assert not outcome.after.hits, outcome.after.failure
