"""Every schedule with at most so many preemptions, up to the order of independent steps.

Dynamic partial-order reduction (Flanagan and Godefroid, POPL 2005): a schedule is held first, and
its races (order) say which others are worth holding.  For a race of two steps, a CPU that the second
step needs is chosen instead at the choice before the first one.  Of the schedules that differ
only in the order of independent steps, at least one is held.

Within a bound of preemptions that is not enough: the schedule that turns the two steps round there
may have one preemption too many, and an equivalent one has not.  So the CPU is also chosen where the
run of steps begins to which the first step belongs (Coons, Musuvathi and McKinley, OOPSLA 2013).

    claim   At each choice that is reached, let T be what is taken there.  Every way to go on
            within the bound has an equivalent one, within the bound, that begins with one of T.
    why     Take a way w without one, and the CPU t of T whose first step in w comes earliest.
            If what t would do, alone and up to where it must wait, depended on nothing before
            that step, then t's run could be moved to the front of w and would cost no more.  So
            it depends on some d there.  By induction a trial was held in which t runs first, and
            then d comes with what d needs.  It has this race, so a CPU of what d needs is in
            T, and its first step in w comes before that of t.

An interrupt that is taken early, a store that drains, and an older value are always tried: the
reduction concerns the choice of CPUs only.

Linux: none; kemu's own.
Locks: none.  Callers: run, fewest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from kemu import native
from kemu.explore.alternative import offered, preempts
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.order import Order
from kemu.explore.plan import Plan
from kemu.explore.record import Step


class Reduced(Exhaustive):
    """At least one of each set of schedules that differ in the order of independent steps only."""

    orders: type[Order] = Order

    def __init__(self, preemptions: int | None) -> None:
        super().__init__(preemptions)
        self.taken: dict[bytes, set[int]] = {}      # where more than one was: after which choices, what

    def learn(self, plan: Plan, choices: int, steps: Sequence[Step]) -> None:
        """Note what the races of the trial ask for."""
        trial = _Trial(steps)
        self.count(plan, trial.choices)
        for number in range(len(plan.choices), len(trial.made)):
            at = trial.made[number]
            self._try(trial, at, [alt for alt in offered(steps[at]) if alt >= native.ALT_IRQ])
        order = self.orders(steps, self.cpu_words)
        since = trial.made[len(plan.choices) - 1] if 0 < len(plan.choices) <= len(trial.made) else 0
        for first, second in order.races(since):
            self._turn_round(trial, order, first, second)

    def _turn_round(self, trial: _Trial, order: Order, first: int, second: int) -> None:
        """See to it that a schedule is held in which the second step does not come after the first."""
        steps = trial.steps
        others = order.others(first, second)
        head = trial.head(first)
        for at in self._places(trial, head):
            alts = sorted((cpu for cpu in others if steps[at].enabled >> cpu & 1), key=others.__getitem__)
            if steps[first].cpu == steps[second].cpu and steps[second].alt in offered(steps[at]):
                alts.insert(0, steps[second].alt)
            if not alts:
                self._try(trial, at, offered(steps[at]))
            elif not self._taken(trial, at) & set(alts):
                self._try(trial, at, alts[:1])

    def _places(self, trial: _Trial, head: int) -> set[int]:
        return {head} if self.preemptions is None else {head, trial.head(trial.run(head))}

    def _taken(self, trial: _Trial, at: int) -> set[int]:
        return self.taken.get(trial.choices[:trial.number[at]], {trial.steps[at].alt})

    def _try(self, trial: _Trial, at: int, alts: list[int]) -> None:
        """Have these alternatives held at the choice before the step, if it was one."""
        step, number = trial.steps[at], trial.number[at]
        if not step.chosen:
            return
        known = self._taken(trial, at)
        new = [alt for alt in alts if alt not in known]
        if new:
            self.taken[trial.choices[:number]] = known | set(new)
        for alt in new:
            self.wait(trial.cost[number] + preempts(step, alt), trial.choices, number, alt)

    def proves(self) -> str:
        return super().proves().replace(" schedules with", " schedules (up to the order of independent "
                                        "steps) with", 1)


def every_schedule(preemptions: int | None, memory: str, reduce: bool = True) -> Exhaustive:
    """A strategy that holds them all; under sc, only what differs in more than that order, if asked."""
    return Reduced(preemptions) if reduce and memory == "sc" else Exhaustive(preemptions)


class _Trial:
    """The steps of a trial, and its choices."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.made = [number for number, step in enumerate(steps) if step.chosen]
        self.choices = bytes(steps[number].alt for number in self.made)
        # Before each step: how many choices there were.  Before each choice: how many preemptions.
        self.number = list(accumulate((step.chosen for step in steps), initial=0))
        self.cost = list(accumulate((preempts(steps[at], steps[at].alt) for at in self.made), initial=0))

    def head(self, number: int) -> int:
        """The step with which this one came: a CPU that must keep the baton is not chosen anew."""
        while number and self.steps[number - 1].cpu == self.steps[number].cpu and self._is_kept(number):
            number -= 1
        return number

    def run(self, number: int) -> int:
        """The first of the steps of this CPU that came without a switch."""
        while number and self.steps[number - 1].cpu == self.steps[number].cpu:
            number -= 1
        return number

    def _is_kept(self, number: int) -> bool:
        step = self.steps[number]
        return not step.chosen and (step.op == native.OP_POINT or step.enabled != 1 << step.cpu)
