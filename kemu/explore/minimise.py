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
    seen = {choices}
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


def _new(choices: bytes, seen: set[bytes]) -> Iterator[bytes]:
    if choices not in seen:
        seen.add(choices)
        yield choices


def same_failure(one: str, other: str) -> bool:
    """Whether two failures begin with the same line: what follows may name other tasks."""
    return bool(one) and one.splitlines()[:1] == other.splitlines()[:1]


def minimise(race: Race, side: str, record: Record, text: str,
             memory: str = "sc") -> tuple[Trials, str]:
    """The shortest schedule found that fails as this one, and why it may not be the shortest.

    At worst it is this one; "": nothing that was tried is shorter.  It is the first trial of a fresh
    machine, as a replay is.
    """
    began = time.monotonic()
    best, machines = _searched(race, side, record, text, memory), 0
    left = list(candidates(best.choices))
    while left and machines < MAX_MACHINES and time.monotonic() - began < SECONDS:
        trials = hold_trials(race, side, Several([Plan(choices) for choices in left]),
                             schedules=len(left), memory=memory)
        machines += 1
        held, left = left[trials.schedules - 1], left[trials.schedules:]
        if same_failure(trials.text, text) and cost(trials.record) < cost(best):
            best = trials.record
            left = list(candidates(best.choices))
        left = [choices for choices in left if not _is_same(choices, held, trials.record.choices)]
    early = "" if not left else (
        f"the schedule may not be the shortest: {len(left):,} shorter ones were not tried, after "
        f"{machines} machines and {time.monotonic() - began:.0f} s")
    return hold_trials(race, side, Several([Plan(best.choices)]), memory=memory), early


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
