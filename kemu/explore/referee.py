"""The referee of controlled trials: a plan before each, the record after it.

Runs in the machine, as the referee of the other ways to run a race does (harness/referee).
What only the referee and the actors' loop touch is not a part of the trial.

Locks: none.  Callers: trials, which starts hold_schedules() as a task.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kemu import native
from kemu.errors import UsageError
from kemu.explore.plan import Plan
from kemu.explore.strategy import Strategy
from kemu.explore.table import Table
from kemu.harness.findings import Finding
from kemu.harness.race import Race
from kemu.harness.referee import Referee
from kemu.memory import current_memory
from kemu.memory.struct import Struct
from kemu.native import now_ns, smp_processor_id


OWN_AREAS = 2           # of the referee, beside one of each actor and kthread
MAX_TASKS = native.MAX_SKIPS - OWN_AREAS


def check_tasks(race: Race) -> None:
    """Raise UsageError if the race has more tasks than the plan can keep apart from the trial."""
    tasks = len(race.actors) + len(race.kthreads)
    if tasks > MAX_TASKS:
        raise UsageError(f"race {race.name} has {tasks} actors and kthreads: a search takes at most "
                         f"{MAX_TASKS}; run it with --how jitter")


@dataclass
class Held:
    """What came of a run of schedules."""

    finding: Finding | None     # of the last one
    strategy: Strategy          # with what it has learned
    unaudited: list[Plan] = field(default_factory=list)     # those since the audit before


class ExploringReferee(Referee):
    """Holds controlled trials."""

    def __init__(self, side: str, table: Table, audit_every: int) -> None:
        super().__init__(side, False)
        self.every = audit_every
        self.table = table
        self.plan: Plan = Plan()
        self.first_slot: int = self.header.task_hint.load()
        self.first_pid: int = self.header.next_pid.load()
        own: list[Struct] = [self.counters, self.words, *self.states]
        for area in own:
            table.skip(area.base, area.size)

    def steer(self) -> None:
        """Let the chooser decide from here.  The machine is at rest, except for the referee."""
        self.rest()
        self.table.write(self.plan)
        self.table.arm(smp_processor_id())

    def hold(self, plan: Plan) -> Finding | None:
        """One trial by the plan: what it found, or None.

        The slots and the pids of its tasks are those of the first trial, so far as they are free.
        """
        self.plan = plan
        self.header.task_hint.store(self.first_slot)
        self.header.next_pid.store(self.first_pid)
        return self.run_one()


def hold_schedules(side: str, base: int, record: int, memory: str, strategy: Strategy,
                   schedules: int, seconds: float, audit_every: int) -> Held:
    """Hold the strategy's schedules until one fails, or enough were held.  Runs as a task.

    The machine is audited after every so many of them, and at the end.
    """
    table = Table(current_memory.get(), base, record, memory)
    referee = ExploringReferee(side, table, audit_every)
    until = now_ns() + int(seconds * 1e9)
    strategy.cpu_words = table.cpu_words()
    held = Held(None, strategy)
    for _ in range(schedules):
        plan = strategy.next() if now_ns() < until else None
        if plan is None:
            break
        if not referee.unaudited:
            held.unaudited = []
        held.unaudited.append(plan)
        held.finding = referee.hold(plan)
        strategy.learn(plan, table.word("nr_choices"),
                       table.steps() if strategy.needs_steps else [])
        if held.finding:
            return held
    held.finding = referee.last_audit()
    return held
