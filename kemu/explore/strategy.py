"""Which schedule comes next: one again, some, at random, and PCT.

A strategy knows nothing of machines.  It gives a plan when asked, and learns what the trial
did.  It is copied into the machine, and copied back with what it has learned.

Locks: none.  Callers: referee, which holds the trials; run, trials, replay, minimise.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from kemu import native
from kemu.explore.plan import Plan
from kemu.explore.record import Step


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


class Random:
    """Each choice is made at random.  Schedule n of a seed is the same each time."""

    needs_steps = False
    cpu_words = range(0)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.number: int = 0

    def next(self) -> Plan | None:
        self.number += 1
        return Plan(rule="random", seed=random.Random(f"{self.seed}:{self.number}").getrandbits(63))

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Learns nothing."""

    def proves(self) -> str:
        return ""


class Pct:
    """Random priorities, and depth - 1 changes at random choices (Burckhardt et al., ASPLOS 2010).

    A bug of depth d (d ordering constraints suffice for it) in n CPUs and k choices is hit
    by each schedule with probability at least 1 / (n k^(d-1)).  k is the largest number of
    choices that any schedule had so far; the first schedule, with no change, gives the
    first guess.  Under tso each buffer of stores counts as a CPU.
    """

    needs_steps = False
    cpu_words = range(0)

    def __init__(self, seed: int, cpus: int, depth: int, memory: str = "sc") -> None:
        self.seed = seed
        self.cpus = cpus
        self.depth = depth
        self.memory = memory
        self.parties: int = cpus if memory == "sc" else 2 * cpus
        self.number: int = 0
        self.choices: int = 1

    def next(self) -> Plan | None:
        self.number += 1
        draw = random.Random(f"{self.seed}:{self.number}")
        order = draw.sample(range(self.parties), self.parties)
        priorities = tuple(native.MAX_CHANGES + 1 + place for place in order)
        buffers = (0,) * (native.ALT_DRAIN - self.cpus) + priorities[self.cpus:]
        return Plan(rule="pct", priorities=priorities[:self.cpus] + buffers,
                    changes=tuple(draw.randrange(self.choices) for _ in range(self.depth - 1)))

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        self.choices = max(self.choices, choices)

    def chance(self) -> float:
        """Of one schedule to hit a bug of the depth: at least this."""
        return 1.0 / float(self.parties * self.choices ** (self.depth - 1))

    def missed(self) -> float:
        """The probability that all schedules so far have missed such a bug: at most this."""
        return float((1 - self.chance()) ** self.number)

    def proves(self) -> str:
        if self.memory == "weak":
            return ""       # the theorem counts switches between threads, and no load of an older value
        parties = f"{self.cpus} CPUs" if self.memory == "sc" else f"{self.cpus} CPUs and their buffers"
        return (f"a bug of depth {self.depth} in {parties} and {self.choices} choices is hit "
                f"by each schedule with probability {self.chance():.1e} or more: {self.number:,} "
                f"schedules miss it with probability {self.missed():.2g} or less")
