"""Controlled trials in one machine: boot it, hold schedules up to a failure, read what happened.

All CPUs of the machine share one host core, since only one of them runs at a time: a
hand-over there costs less than one to another core.

Locks: none.  Callers: run, replay, fewest, minimise; in the controller.
"""

from __future__ import annotations

import sys
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
from kemu.machine.machine import Machine
from kemu.machine.override import calls_of
from kemu.machine.placement import Layout
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

    @property
    def text(self) -> str:
        """What the last one found; "" if nothing."""
        return self.finding.text if self.finding else ""


def hold_trials(race: Race, side: str, strategy: Strategy, *, schedules: int = 1,
                seconds: float = FOREVER, audit_every: int = 1,
                memory: str = "sc") -> Trials:
    """Hold the strategy's schedules of one side in a fresh machine, up to the first failure.

    ``audit_every``: the machine is audited after so many schedules, and at the end; after
    each, a finding of the audit is that of its schedule.
    Raises UsageError for a mistake in the race's file, and for a race with too many tasks.
    """
    check_tasks(race)
    functions.dumps(strategy)           # tells what cannot travel before anything boots
    with Machine(race.cpus, placement=Layout.of(race.cpus, 1), kernel=race.kernel,
                 console=partial(print, file=sys.stderr, flush=True),
                 overrides=race.side(side).overrides, carried=race) as machine:
        table = Table.alloc(machine.memory)
        handle = machine.start(hold_schedules, side, table.base, table.record, memory, strategy,
                               schedules, seconds, audit_every)
        where = ""
        try:
            held = handle.result()
        except KernelPanic as panic:
            held, where = Held(Finding(Kind.PANIC, panic.text), strategy), last_frame(panic)
            mistake = mistake_in(race, side, panic, Finding(Kind.PANIC, panic.text))
            if mistake:
                raise UsageError(f"race {race.name}: {mistake}") from panic
        except KemuError:
            raise
        except Exception as error:
            raise UsageError(f"race {race.name}: its setup, or what runs at a trial's begin or end, "
                             f"raised {type(error).__name__}: {text_of(error)}\n"
                             + "\n".join(getattr(error, "__notes__", []))) from error
        return _read(machine, race, side, table, held, where)


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
