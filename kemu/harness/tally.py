"""What happened in the trials of one machine, counted in shared words.

The referee closes each trial: it counts which witnesses were seen, how each hold ended, and
whether the trial counts.  A panic stops the referee in the middle of a trial, so the controller
closes that trial, with the same function.

    Counters.trials     <- trials begun: by the referee
    Counters.closed     <- trials closed: by the referee, or by the controller after a panic
    Counters.counted    <- of these, trials that count

Linux: none; kemu's own.
Locks: none.  Callers: referee, side_run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kemu import native
from kemu.harness import script
from kemu.harness.race import MAX_WITNESSES, Race
from kemu.harness.script import Ended
from kemu.harness.trial import TrialWords
from kemu.memory import current_memory, points
from kemu.memory.struct import PerCPU, Word, Words
from kemu.memory.views import took_turns


class Counters(PerCPU, keep=True):
    """The counts, which the controller reads, also after a panic.  Only CPU 0's copy is used."""

    trials: Final = Word()
    closed: Final = Word()
    counted: Final = Word()                                 # trials that count: see verdict
    asserted: Final = Word()                                # invariants and postconditions evaluated
    audited: Final = Word()                                 # audits of the machine
    seen: Final = Words(MAX_WITNESSES)                      # trials in which each witness was seen
    ended: Final = Words(native.MAX_HOLDS * len(Ended))     # for each hold, how often it ended how
    passed: Final = Words(native.MAX_HOLDS)                 # trials in which its until was passed
    met: Final = Word()  # trials in which windows met, of a race without witnesses
    turns: Final = Word()  # trials in which tasks took turns at one interpreter
    windows: Final = Word()  # a bit for each task that ever opened a window
    last: Final = Word()  # set by the controller: after so many trials none begins; 0: no limit


class Totals:
    """The counts of all machines of a side.  Only the controller has them."""

    def __init__(self, race: Race) -> None:
        self.asserted: int = 0
        self.met: int = 0
        self.turns: int = 0
        self.windows: int = 0
        self.seen: list[int] = [0] * len(race.witnesses)
        self.ended: list[list[int]] = [[0] * len(Ended) for _ in race.holds]
        self.passed: list[int] = [0] * len(race.holds)

    def add(self, counters: Counters) -> None:
        """Add the counts of a machine that has ended."""
        self.asserted += counters.asserted.load()
        self.met += counters.met.load()
        self.turns += counters.turns.load()
        self.windows |= counters.windows.load()
        self.seen = [old + word.load() for old, word in zip(self.seen, counters.seen)]  # noqa: B905
        for number, ended in enumerate(self.ended):
            self.passed[number] += counters.passed[number].load()
            for how in Ended:
                ended[how] += counters.ended[number * len(Ended) + how].load()

    def merge(self, other: Totals) -> None:
        """Add the totals of another run of this side."""
        self.asserted += other.asserted
        self.met += other.met
        self.turns += other.turns
        self.windows |= other.windows
        self.seen = [mine + its for mine, its in zip(self.seen, other.seen, strict=True)]
        self.passed = [mine + its for mine, its in zip(self.passed, other.passed, strict=True)]
        self.ended = [[mine + its for mine, its in zip(*both, strict=True)]
                      for both in zip(self.ended, other.ended, strict=True)]


def close_trial(race: Race, side: str, places: Sequence[points.Hold], hit: bool) -> None:
    """Count the trial that has ended.  The machine is at rest, or has stopped.

    places: the shared words of the race's holds; empty if the run is not forced.
    """
    counters, words = Counters.on(0), TrialWords.on(0)
    if counters.closed.load() == counters.trials.load():
        return
    counters.closed.store(counters.trials.load())
    witnessed = _count_witnesses(race, side, counters, words)
    as_said = _count_holds(race, side, places, counters, words.number.load())
    parallel = _count_turns(counters, words) or bool(places) or bool(race.turns_allowed)
    if hit or (witnessed and as_said and parallel):
        counters.counted.add(1)


def _count_witnesses(race: Race, side: str, counters: Counters, words: TrialWords) -> bool:
    """Whether the trial has shown all that it must.

    In a race that declares no witness, two tasks must have been in their windows together.  One
    window alone shows nothing: its task may have run before or after all others.
    """
    seen, wanted = words.seen.load(), {one.name for one in race.witnesses_of(side)}
    shown = True
    for number, witness in enumerate(race.witnesses):
        if seen >> number & 1:
            counters.seen[number].add(1)
        elif witness.name in wanted:
            shown = False
    if wanted:
        return shown
    counters.windows.fetch_or(words.windows.load())
    met = bool(words.met.load())
    counters.met.add(int(met))
    return met


def _count_turns(counters: Counters, words: TrialWords) -> bool:
    """Whether all tasks of the trial that ran at once ran in parallel."""
    parallel = took_turns(current_memory.get()) == words.turns.load()
    counters.turns.add(int(not parallel))
    return parallel


def _count_holds(race: Race, side: str, places: Sequence[points.Hold], counters: Counters,
                 trial: int) -> bool:
    """Whether the trial ran as the script says."""
    as_said = True
    for number, (place, hold) in enumerate(zip(places, race.holds, strict=False)):
        if not hold.applies(side, trial):
            continue
        ended = script.outcome(place, hold)
        counters.ended[number * len(Ended) + ended].add(1)
        counters.passed[number].add(int(bool(place.until_passed.load())))
        as_said = as_said and script.did_its_part(hold, ended)
    return as_said
