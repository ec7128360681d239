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
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.own.system import system
from kemu.kernel.sched.migration import set_cpus_allowed_ptr
from kemu.memory import current_memory
from kemu.memory.struct import Struct, place_all
from kemu.native import current, now_ns, smp_processor_id


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
        self.slots: list[int] = [task.slot for task in system.tasks.used()]     # what is there before a trial
        self.first_slot: int = self.header.task_hint.load()
        self.first_pid: int = self.header.next_pid.load()
        place_all()
        self._visit_all_cpus()
        own: list[Struct] = [self.counters, self.words, *self.states]
        for task in self.actors:
            task.unexplored.store(1)        # as after a trial
        for area in own:
            table.skip(area.base, area.size)

    def _visit_all_cpus(self) -> None:
        """Run on each CPU once.  From then on swapper's own thread idles there, in each trial."""
        me = current()
        allowed = me.cpus_allowed.load()
        for cpu in online_cpus():
            set_cpus_allowed_ptr(me, 1 << cpu)
        set_cpus_allowed_ptr(me, allowed)
        self.rest()

    def prepare(self) -> None:
        """What the race does before each trial, in a machine that is as before its first one."""
        self._settle()
        super().prepare()

    def steer(self) -> None:
        """Let the chooser decide by the plan from here.  All is at rest, except for the referee."""
        self.rest()
        self.table.write(self.plan)
        self.table.arm(smp_processor_id())

    def hold(self, plan: Plan) -> Finding | None:
        """One trial by the plan: what it found, or None.

        It starts as the first trial of a fresh machine does, so far as a schedule can tell.
        """
        self.plan = plan
        return self.run_one()

    def conclude(self) -> None:
        """What the race does after a trial.  A thread that it starts again gets its slot again."""
        gone = [slot for slot in self.slots if not system.tasks.at(slot).used.load()]
        if gone:
            self.header.task_hint.store(min(gone))
        super().conclude()

    def _settle(self) -> None:
        """Make the machine what it is before a first trial.

        New tasks get the slots and the pids of the first trial, so far as these are free.  A task
        that sleeps and may run on several CPUs wakes on the first of them, wherever it ran last.
        """
        if self.race.concludes:
            self.rest()
        self.header.task_hint.store(self.first_slot)
        self.header.next_pid.store(self.first_pid)
        active = self.header.active_mask.load()
        for slot in self.slots:
            task = system.tasks.at(slot)
            allowed = task.cpus_allowed.load() & active
            if allowed & allowed - 1 and not task.on_rq.load() and not task.on_cpu.load():
                task.cpu.store((allowed & -allowed).bit_length() - 1)


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
        plan = None if now_ns() >= until or referee.is_over() else strategy.next()
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
