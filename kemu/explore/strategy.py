"""Which schedule comes next: one again, some, at random, and PCT.

A strategy knows nothing of machines.  It gives a plan when asked, and learns what the trial
did.  It is copied into the machine, and copied back with what it has learned.

Locks: none.  Callers: referee, which holds the trials; run, trials, replay, minimise.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Protocol, Self

from kemu import native
from kemu.explore.plan import Plan
from kemu.explore.record import Step

MEASURED = 8            # schedules of a pct search that show how many choices a trial has


class Strategy(Protocol):
    """What a strategy offers."""

    needs_steps: bool       # whether learn() looks at the steps
    cpu_words: range        # where the words of the CPUs are, by CPU; set before the first trial

    def next(self) -> Plan | None:
        """The next schedule; None if there is none left."""

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """The trial had so many choices, and these steps if the strategy needs them."""

    def proves(self) -> str:
        """What it means that no schedule has hit, in words; "" for nothing."""


class Replay:
    """One plan, again and again."""

    needs_steps = False
    cpu_words = range(0)

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def next(self) -> Plan | None:
        return self.plan

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Learns nothing."""

    def proves(self) -> str:
        return ""


class Several:
    """These plans, each once."""

    needs_steps = False
    cpu_words = range(0)

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans: list[Plan] = list(plans)
        self.number: int = 0

    def next(self) -> Plan | None:
        self.number += 1
        return self.plans[self.number - 1] if self.number <= len(self.plans) else None

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Learns nothing."""

    def proves(self) -> str:
        return ""


class Drawn:
    """Schedules that are drawn from a seed and their number.  Schedule n of a seed is the same each time."""

    needs_steps = False
    cpu_words = range(0)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.number: int = 0    # of the last one
        self.stride: int = 1    # from one to the next
        self.held: int = 0      # trials

    def draw(self) -> random.Random:
        """What the next schedule is drawn with."""
        self.number += self.stride
        return random.Random(f"{self.seed}:{self.number}")

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        self.held += 1

    def part(self, job: int, jobs: int) -> Self:
        """What one of so many machines is to hold: each jobs-th of the schedules that are left."""
        mine = copy.copy(self)
        mine.number, mine.stride, mine.held = self.number + 1 + job - jobs, jobs, 0
        return mine

    def number_of(self, trial: int) -> int:
        """The number of the schedule that is trial 1, 2, ... from here."""
        return self.number + trial * self.stride

    def trials_up_to(self, number: int) -> int:
        """How many trials from here have a schedule of at most this number."""
        return max(0, (number - self.number) // self.stride)

    def add(self, part: Self) -> None:
        """Learn what a machine has learned that held a part."""
        self.held += part.held


class Random(Drawn):
    """Each choice is made at random."""

    def next(self) -> Plan | None:
        return Plan(rule="random", seed=self.draw().getrandbits(63))

    def proves(self) -> str:
        return ""


class Pct(Drawn):
    """Random priorities, and depth - 1 changes at random choices (Burckhardt et al., ASPLOS 2010).

    A bug of depth d (d ordering constraints suffice for it) in n CPUs and k choices is hit
    by each schedule with probability at least 1 / (n k^(d-1)).  k is the largest number of
    choices that one of the first schedules had, so that a schedule depends on nothing that a machine
    may have held before it or not.  A later one may have more choices.  Then the theorem holds for the
    bugs that show within k choices.  Beyond FAIR_AFTER choices nothing is left to priorities, so k is not
    larger.  Under tso each buffer of stores counts as a CPU.
    """

    def __init__(self, seed: int, cpus: int, depth: int, memory: str = "sc") -> None:
        super().__init__(seed)
        self.cpus = cpus
        self.depth = depth
        self.memory = memory
        self.parties: int = cpus if memory == "sc" else 2 * cpus
        self.choices: int = 1   # k
        self.longest: int = 1   # choices that a schedule had

    def next(self) -> Plan | None:
        draw = self.draw()
        order = draw.sample(range(self.parties), self.parties)
        priorities = tuple(native.MAX_CHANGES + 1 + place for place in order)
        buffers = (0,) * (native.ALT_DRAIN - self.cpus) + priorities[self.cpus:]
        return Plan(rule="pct", priorities=priorities[:self.cpus] + buffers,
                    changes=tuple(draw.randrange(self.choices) for _ in range(self.depth - 1)),
                    seed=draw.getrandbits(63))

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        super().learn(plan, choices, steps)
        self.longest = max(self.longest, choices)
        if self.number <= MEASURED:
            self.choices = min(self.longest, native.FAIR_AFTER)

    def add(self, part: Self) -> None:
        super().add(part)
        self.longest = max(self.longest, part.longest)

    def chance(self) -> float:
        """Of one schedule to hit a bug of the depth: at least this."""
        return 1.0 / float(self.parties * self.choices ** (self.depth - 1))

    def missed(self) -> float:
        """The probability that all that were drawn for k choices have missed such a bug: at most this."""
        return float((1 - self.chance()) ** max(0, self.held - MEASURED))

    def proves(self) -> str:
        if self.memory == "weak" or self.held <= MEASURED:
            return ""       # the theorem counts switches between threads, and no load of an older value
        parties = f"{self.cpus} CPUs" if self.memory == "sc" else f"{self.cpus} CPUs and their buffers"
        within = f" (the longest schedule had {self.longest:,})" * (self.longest > self.choices)
        return (f"a bug of depth {self.depth} in {parties} within {self.choices:,} choices{within} is hit by "
                f"each schedule with probability {self.chance():.1e} or more: the {self.held - MEASURED:,} "
                f"schedules after the first {MEASURED} miss it with probability {self.missed():.2g} or less")
