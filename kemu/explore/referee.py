"""The referee of controlled trials: a plan before each, the record after it.

Runs in the machine, as the referee of the other ways to run a race does (harness/trial).
What only the referee and the actors' loop touch is no part of the trial.

Locks: none.  Callers: run, which starts hold_schedules() as a task.
"""

from __future__ import annotations

from dataclasses import dataclass

from kemu.explore.plan import Plan
from kemu.explore.strategy import Strategy
from kemu.explore.table import Table
from kemu.harness.trial import Referee
from kemu.memory.struct import Struct
from kemu.native import now_ns, smp_processor_id


@dataclass
class Held:
    """What came of a run of schedules."""

    text: str               # what the last one hit; "" if nothing
    schedules: int
    strategy: Strategy      # with what it has learned


class ExploringReferee(Referee):
    """Holds controlled trials."""

    def __init__(self, offset: int, table: Table) -> None:
        super().__init__(offset, False)
        self.table = table
        self.plan = Plan()
        own: list[Struct] = [self.counters, self.ring, *self.stages]
        for area in own:
            table.skip(area.base, area.size)

    def steer(self) -> None:
        """Let the chooser decide from here.  The machine is at rest, but for the referee."""
        self.rest()
        self.table.write(self.plan)
        self.table.arm(smp_processor_id())

    def hold(self, plan: Plan) -> str:
        """One trial by the plan; what it hit, or "" for nothing."""
        self.plan = plan
        return self.hold_one()


def hold_schedules(offset: int, base: int, record: int, strategy: Strategy, schedules: int,
                   seconds: float) -> Held:
    """Hold the strategy's schedules until one hits, or enough were held.  Runs as a task."""
    from kemu.memory import current_memory

    table = Table(current_memory.get(), base, record)
    referee = ExploringReferee(offset, table)
    until = now_ns() + int(seconds * 1e9)
    held = Held("", 0, strategy)
    while held.schedules < schedules and not held.text and now_ns() < until:
        plan = strategy.next()
        if plan is None:
            break
        held.text = referee.hold(plan)
        held.schedules += 1
        strategy.learn(plan, table.word("nr_choices"),
                       table.steps() if strategy.needs_steps else [])
    return held
