"""Every schedule with at most so many preemptions, each exactly once.

Iterative context bounding (Musuvathi and Qadeer, PLDI 2007), by running again: a schedule is
the choices of one that ran, up to some choice, then another alternative, then no preemption
until the end.  So each schedule is known by the last choice in which it differs from the
one it came from, and none is held twice.

A choice is a preemption if the CPU that had run could have gone on, and something else was
chosen (alternative).
Schedules with fewer preemptions come first, so that the first hit has as few as any.

Nothing is left out: two schedules that differ in the order of independent steps are both
held.

Locks: none.  Callers: run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from kemu.explore.alternative import offered, preempts
from kemu.explore.plan import Plan
from kemu.explore.record import Step, choices_of


class Exhaustive:
    """All schedules with at most ``preemptions`` of them."""

    needs_steps = True

    def __init__(self, preemptions: int) -> None:
        self.preemptions = preemptions
        self.held: int = 0
        # By preemptions: the choices that it follows, at which choice it leaves them, for what.
        self.waiting: list[deque[tuple[bytes, int, int]]] = [deque() for _ in range(preemptions + 1)]
        self.waiting[0].append((b"", 0, -1))
        self.level: int = 0

    def next(self) -> Plan | None:
        while self.level <= self.preemptions and not self.waiting[self.level]:
            self.level += 1
        if self.level > self.preemptions:
            return None
        # Take the newest prefix first: it shares most with the last trial, and few prefixes wait.
        choices, at, alt = self.waiting[self.level].pop()
        return Plan(choices[:at] + bytes([alt]) if alt >= 0 else b"")

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Note each other way to go on, after the last choice of the plan."""
        self.held += 1
        made = [step for step in steps if step.chosen]
        taken = choices_of(made)
        for at in range(len(plan.choices), len(made)):
            step = made[at]
            for alt in offered(step):
                # The rule stays, so up to here nothing was added to the plan's preemptions.
                level = self.level + preempts(step, alt)
                if alt != step.alt and level <= self.preemptions:
                    self.waiting[level].append((taken, at, alt))

    @property
    def left(self) -> int:
        """How many schedules are known that were not held.  Zero: all were."""
        return sum(map(len, self.waiting))

    def proves(self) -> str:
        """What it means that no schedule has hit, in words."""
        many = f"{self.preemptions} preemption{'s' * (self.preemptions != 1)}"
        if self.left:
            return (f"{self.held:,} schedules with at most {many}: no violation; at least "
                    f"{self.left:,} more were not held")
        return f"all {self.held:,} schedules with at most {many}: no violation"
