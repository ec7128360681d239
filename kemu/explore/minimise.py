"""Shorten a schedule that hits until no switch can be left out.

A schedule is runs of choices of one CPU.  Four kinds of shorter schedule are tried: the
choices up to some place, and from there no preemption; a load or a store done without a
reordering; two neighbouring runs exchanged, so that each joins its like; a run left out.  One that
fails with the same words in fewer preemptions, or as many with fewer switches, takes its place,
until none does.

The candidates of a round run in one machine, up to the first that hits.

Locks: none.  Callers: run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from kemu import native
from kemu.explore.alternative import preempts
from kemu.explore.plan import Plan
from kemu.explore.record import Record, Step
from kemu.explore.strategy import Several
from kemu.explore.trials import Trials, hold_trials
from kemu.harness.race import Race

MAX_ROUNDS = 200        # each boots a machine


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


def minimise(race: Race, side: str, record: Record, text: str, memory: str = "sc") -> Trials:
    """The shortest schedule found that fails as this one; at worst, this one.

    It is the first trial of a fresh machine, as a replay is.
    """
    best, left = record, list(candidates(record.choices))
    for _ in range(MAX_ROUNDS):
        if not left:
            break
        trials = hold_trials(race, side, Several([Plan(choices) for choices in left]),
                             schedules=len(left), memory=memory)
        left = left[trials.schedules:]
        if same_failure(trials.text, text) and cost(trials.record) < cost(best):
            best = trials.record
            left = list(candidates(best.choices))
    return hold_trials(race, side, Several([Plan(best.choices)]), memory=memory)
