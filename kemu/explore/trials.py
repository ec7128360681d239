"""Controlled trials in one machine: boot it, hold schedules up to a failure, read what happened.

All CPUs of the machine share one host core, since only one of them runs at a time: a
hand-over there costs less than one to another core.

Locks: none.  Callers: jobs, run, replay, fewest, minimise; in the controller.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kemu.errors import KemuError, KernelPanic, UsageError, text_of
from kemu.explore.plan import Plan
from kemu.explore.record import Names, Record
from kemu.explore.referee import Held, check_tasks, hold_schedules
from kemu.explore.strategy import Strategy
from kemu.explore.table import Table
from kemu.harness.findings import Finding, Kind, is_hit
from kemu.harness.mistakes import last_frame, mistake_in
from kemu.harness.race import Race
from kemu.harness.tally import Counters, Totals, close_trial
from kemu.machine.handle import Handle
from kemu.machine.machine import Machine
from kemu.machine.override import calls_of
from kemu.machine.placement import Layout
from kemu.machine.timeout import POLL_SECONDS
from kemu.memory import functions

FOREVER = 1e6           # seconds


@dataclass
class Trials:
    """What came of the trials of one machine.  The record is the last trial's."""

    finding: Finding | None     # of the last one
    schedules: int
    unaudited: list[Plan]       # the last ones, since the audit before; empty after a panic
    counted: int                # trials that show what the race's witnesses stand for
    audits: int
    strategy: Strategy          # with what it has learned, unless the machine stopped
    record: Record
    totals: Totals
    called: dict[str, int]      # calls of each override
    strays: int                 # steps taken without the baton: not controlled
    placement: list[int]        # the host core of each CPU
    where: str = ""             # in which line, if it was an exception
    number: int = 0             # of the last one in its search; 0: it is not one of a search

    @property
    def text(self) -> str:
        """What the last one found; "" if nothing."""
        return self.finding.text if self.finding else ""


class Stopped(Exception):
    """A search has no use any more for what the machine would find."""


class Holder:
    """One machine that holds schedules.

        trials, counted, audits     <- as last looked at: by the thread that runs it; any thread reads
        last                        <- after so many trials none begins; 0: no limit: by any thread
    """

    def __init__(self, race: Race, side: str, strategy: Strategy, *, schedules: int = 1,
                 seconds: float = FOREVER, audit_every: int = 1, memory: str = "sc",
                 stop: threading.Event | None = None, progress: Callable[[], None] = lambda: None) -> None:
        """progress() is called while it runs.  As soon as stop is set, run() raises Stopped."""
        check_tasks(race)
        functions.dumps(strategy)           # tells what cannot travel before anything boots
        self.race, self.side, self.strategy = race, side, strategy
        self.how = (schedules, seconds, audit_every)
        self.memory = memory
        self.stop = stop or threading.Event()
        self.progress = progress
        self.trials: int = 0
        self.counted: int = 0
        self.audits: int = 0
        self.last: int = 0

    def run(self) -> Trials:
        """Boot the machine, and hold schedules up to the first failure.

        Raises UsageError for a mistake in the race's file.
        """
        race, side = self.race, self.side
        with Machine(race.cpus, placement=Layout.of(race.cpus, 1), kernel=race.kernel,
                     console=partial(print, file=sys.stderr, flush=True),
                     overrides=race.side(side).overrides, carried=race) as machine:
            table = Table.alloc(machine.memory)
            handle = machine.start(hold_schedules, side, table.base, table.record, self.memory,
                                   self.strategy, *self.how)
            where = ""
            try:
                held = self._wait(machine, handle)
            except KernelPanic as panic:
                held, where = Held(Finding(Kind.PANIC, panic.text), self.strategy), last_frame(panic)
                mistake = mistake_in(race, side, panic, Finding(Kind.PANIC, panic.text))
                if mistake:
                    raise UsageError(f"race {race.name}: {mistake}") from panic
            except (KemuError, Stopped):
                raise
            except Exception as error:
                raise UsageError(f"race {race.name}: its setup, or what runs at a trial's begin or end, "
                                 f"raised {type(error).__name__}: {text_of(error)}\n"
                                 + "\n".join(getattr(error, "__notes__", []))) from error
            trials = _read(machine, race, side, table, held, where)
        self.trials, self.counted, self.audits = trials.schedules, trials.counted, trials.audits
        return trials

    def _wait(self, machine: Machine, handle: Handle[Held]) -> Held:
        try:
            while not handle.wait(POLL_SECONDS):
                self._look(machine)
                self.progress()
                if self.stop.is_set():
                    raise Stopped
        except KeyboardInterrupt:
            self._look(machine)
            raise
        return handle.result()

    def _look(self, machine: Machine) -> None:
        """Read the counts, and hand over the limit."""
        with machine.looking():
            counters = Counters.on(0)
            self.trials, self.counted = counters.trials.load(), counters.counted.load()
            self.audits = counters.audited.load()
            counters.last.store(self.last)


def hold_trials(race: Race, side: str, strategy: Strategy, *, schedules: int = 1,
                audit_every: int = 1, seconds: float = FOREVER, memory: str = "sc") -> Trials:
    """Hold the strategy's schedules of one side in a fresh machine, up to the first failure.

    ``audit_every``: the machine is audited after so many schedules, and at the end; after
    each, a finding of the audit is that of its schedule.
    Raises UsageError for a mistake in the race's file, and for a race with too many tasks.
    """
    return Holder(race, side, strategy, schedules=schedules, seconds=seconds, audit_every=audit_every,
                  memory=memory).run()


def _read(machine: Machine, race: Race, side: str, table: Table, held: Held, where: str) -> Trials:
    hit = held.finding is not None and is_hit(race, side, held.finding)
    totals = Totals(race)
    with machine.looking():
        counters = Counters.on(0)
        close_trial(race, side, [], hit)
        totals.add(counters)
    record = Record(table.steps(), Names(machine.memory), table.pending())
    return Trials(
        held.finding, counters.trials.load(), held.unaudited, counters.counted.load(),
        counters.audited.load(), held.strategy, record, totals,
        {o.symbol: calls_of(o, machine.memory) for o in race.side(side).overrides},
        table.word("strays"), machine.placement, where)
