"""Shorten a schedule that hits until no switch can be left out.

First comes a search for the same failure with fewer preemptions (fewest).  Then what was found is
shortened.  A schedule is runs of choices of one CPU.  Four kinds of shorter schedule are tried: the
choices up to some place, and from there no preemption; a load or a store done without a
reordering; two neighbouring runs exchanged, so that each joins its like; a run left out.  One that
fails with the same words in fewer preemptions, or as many with fewer switches, takes its place,
until none does.

The candidates of a round run in one machine, up to the first that hits.  Each machine takes time to
boot, so both the machines and the seconds are bounded; the reader is told if that ended it early.

Locks: none.  Callers: run.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from kemu import native
from kemu.explore.alternative import preempts
from kemu.explore.fewest import fewest
from kemu.explore.plan import Plan
from kemu.explore.record import Record, Step
from kemu.explore.strategy import Several
from kemu.explore.trials import Trials, hold_trials
from kemu.harness.race import Race

MAX_MACHINES = 100      # that hold candidates: at most so many,
SECONDS = 60.0          # and none begins later than this
MAX_BYTES = 1 << 20     # of choices that a machine is given at once
SEARCHES = 10           # for fewer preemptions: at most so many,
SEARCH_SECONDS = 20.0   # and none begins later than this
FEW = 1                 # a schedule with so many preemptions, or fewer, is not searched for


def cost(record: Record) -> tuple[int, int, int]:
    """Preemptions, then switches, then steps: what a shorter schedule has less of."""
    return preemptions(record.steps), switches(record.steps), len(record.steps)


def preemptions(steps: Sequence[Step]) -> int:
    """Choices that stopped a CPU that could have gone on."""
    return sum(step.chosen and preempts(step, step.alt) for step in steps)


def switches(steps: Sequence[Step]) -> int:
    """Steps of another CPU than the step before."""
    return sum(a.cpu != b.cpu for a, b in pairwise(steps))


def candidates(choices: bytes) -> Iterator[bytes]:
    """Shorter schedules, each once."""
    runs = [bytes(run) for _, run in groupby(choices)]
    seen = {hash(choices)}          # and not the choices: a trial that does not end has 400 MB of beginnings
    for end in [*_places(runs), *range(len(choices))]:
        yield from _new(choices[:end], seen)
    for at, alt in enumerate(choices):
        if alt > native.ALT_VALUE:
            yield from _new(choices[:at] + bytes([native.ALT_VALUE]) + choices[at + 1:], seen)
    for at in range(len(runs) - 1):
        yield from _new(b"".join([*runs[:at], runs[at + 1], runs[at], *runs[at + 2:]]), seen)
    for at in range(len(runs)):
        yield from _new(b"".join([*runs[:at], *runs[at + 1:]]), seen)


def _places(runs: list[bytes]) -> list[int]:
    """Where each run ends."""
    ends = [0]
    for run in runs:
        ends.append(ends[-1] + len(run))
    return ends


def _new(choices: bytes, seen: set[int]) -> Iterator[bytes]:
    if hash(choices) not in seen:
        seen.add(hash(choices))
        yield choices


def same_failure(one: str, other: str) -> bool:
    """Whether two failures begin with the same line: what follows may name other tasks."""
    return bool(one) and one.splitlines()[:1] == other.splitlines()[:1]


def minimise(race: Race, side: str, record: Record, text: str,
             memory: str = "sc") -> tuple[Trials, str]:
    """The shortest schedule found that fails as this one, and why it may not be the shortest.

    At worst it is this one; "": no shorter one that is tried fails so.  It is the first trial of a fresh
    machine, as a replay is.
    """
    until = time.monotonic() + SECONDS
    best = _searched(race, side, record, text, memory)
    waiting = _Waiting(best)
    for machines in itertools.count():
        some = waiting.some()
        if not some or machines == MAX_MACHINES or time.monotonic() >= until:
            break
        trials = hold_trials(race, side, Several([Plan(choices) for choices in some]),
                             schedules=len(some), memory=memory)
        if same_failure(trials.text, text) and cost(trials.record) < cost(best):
            best = trials.record
            waiting = _Waiting(best)
        else:
            waiting.held(some, trials)
    early = f"the schedule may not be the shortest: after {machines} machines not all shorter ones " \
            "were tried" if some else ""
    return hold_trials(race, side, Several([Plan(best.choices)]), memory=memory), early


class _Waiting:
    """The shorter schedules of one, as many at a time as a machine can be given."""

    def __init__(self, record: Record) -> None:
        self.left: Iterator[bytes] = candidates(record.choices)
        self.known: list[tuple[bytes, bytes]] = []      # plans that were held, and what they made

    def some(self) -> list[bytes]:
        """The next ones; empty if there are none left."""
        found, room = [], MAX_BYTES
        for choices in self.left:
            if not any(_is_same(choices, *trial) for trial in self.known):
                found.append(choices)
                room -= len(choices)
                if room < 0:
                    break
        return found

    def held(self, some: Sequence[bytes], trials: Trials) -> None:
        """The first of these were held, and the last of them was not shorter: the others wait again."""
        if trials.finding:
            self.known.append((some[trials.schedules - 1], trials.record.choices))
        self.left = itertools.chain(some[trials.schedules:], self.left)


def _searched(race: Race, side: str, record: Record, text: str, memory: str) -> Record:
    """One that fails as this one, with the fewest preemptions that a search finds; at worst, this one.

    A trial that parts from its plan may hit with more preemptions than were asked for.  Then search again.
    """
    best, until = record, time.monotonic() + SEARCH_SECONDS
    for _ in range(SEARCHES):
        if preemptions(best.steps) <= FEW or time.monotonic() >= until:
            break
        found = fewest(race, side, preemptions(best.steps), memory)
        if not found.text:
            break
        if same_failure(found.text, text) and cost(found.record) < cost(best):
            best = found.record
    return best


def _is_same(choices: bytes, held: bytes, made: bytes) -> bool:
    """Whether these choices give the trial that was held: they are what it made after its plan."""
    return choices.startswith(held) and made.startswith(choices)
