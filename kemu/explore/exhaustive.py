"""Every schedule with at most so many preemptions, each exactly once.

Iterative context bounding (Musuvathi and Qadeer, PLDI 2007), by running again: a schedule is
the choices of one that ran, up to some choice, then another alternative, then no preemption
until the end.  So each schedule is known by the last choice in which it differs from the
one it came from, and none is held twice.

A choice is a preemption if the CPU that had run could have gone on, and something else was
chosen (alternative).
Schedules with fewer preemptions come first, so that the first hit has as few as any.

Nothing is left out: two schedules that differ in the order of independent steps are both
held.  reduced leaves such schedules out.

Locks: none.  Callers: run, reduced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from kemu.explore.alternative import offered, preempts
from kemu.explore.plan import Plan
from kemu.explore.record import Step, choices_of


class Exhaustive:
    """All schedules with at most ``preemptions`` of them; ``None``: with any number."""

    needs_steps = True
    cpu_words = range(0)

    def __init__(self, preemptions: int | None) -> None:
        self.preemptions = preemptions
        self.held: int = 0
        self.parted: int = 0    # trials that did not follow their plan: what they stood for was not held
        # By preemptions: the choices that it follows, at which choice it leaves them, for what.
        self.waiting: dict[int, list[tuple[bytes, int, int]]] = defaultdict(list)
        self.waiting[0].append((b"", 0, -1))
        self.level: int = 0

    def next(self) -> Plan | None:
        if not self.left:
            return None
        self.level = min(level for level, some in self.waiting.items() if some)
        # Take the newest prefix first: it shares most with the last trial, and few prefixes wait.
        choices, at, alt = self.waiting[self.level].pop()
        return Plan(choices[:at] + bytes([alt]) if alt >= 0 else b"")

    def wait(self, level: int, choices: bytes, at: int, alt: int) -> None:
        """Have the schedule held that follows these choices, and leaves them at one of them."""
        if self.preemptions is None or level <= self.preemptions:
            self.waiting[level].append((choices, at, alt))

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Note each other way to go on, after the last choice of the plan."""
        made = [step for step in steps if step.chosen]
        taken = choices_of(made)
        self.count(plan, taken)
        for at in range(len(plan.choices), len(made)):
            # The rule stays, so up to here nothing was added to the plan's preemptions.  The turns that a
            # long trial gives to each CPU are not counted (rule.c).
            for alt in offered(made[at]):
                if alt != made[at].alt:
                    self.wait(self.level + preempts(made[at], alt), taken, at, alt)

    def count(self, plan: Plan, taken: bytes) -> None:
        """Count a trial."""
        self.held += 1
        self.parted += not taken.startswith(plan.choices)

    @property
    def left(self) -> int:
        """How many schedules are known that were not held.  Zero: all were."""
        return sum(map(len, self.waiting.values()))

    def proves(self) -> str:
        """What it means that no schedule has hit, in words."""
        most = self.preemptions
        many = "any number of preemptions" if most is None else \
            f"at most {most} preemption{'s' * (most != 1)}"
        if self.left or self.parted:
            return (f"{self.held:,} schedules with {many}: no violation; at least "
                    f"{self.left + self.parted:,} more were not held")
        return f"all {self.held:,} schedules with {many}: no violation"
