"""Controlled trials in one machine: boot it, hold schedules up to a hit, read what happened.

All CPUs of the machine share one host core, since only one of them runs at a time: a
hand-over there costs less than one to another core.

Locks: none.  Callers: run, replay, minimise; in the controller.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial

from kemu.errors import KernelPanic, UsageError, text_of
from kemu.explore.record import Names, Record
from kemu.explore.referee import Held, hold_schedules
from kemu.explore.strategy import Strategy
from kemu.explore.table import Table
from kemu.harness.race import Race
from kemu.harness.trial import Counters
from kemu.machine.machine import Machine
from kemu.machine.override import calls_of
from kemu.machine.placement import usable_cores
from kemu.memory import functions
from kemu.trace.reader import Trace

FOREVER = 1e6           # seconds


@dataclass
class Trials:
    """What came of the trials of one machine.  The record is the last trial's."""

    text: str                   # what the last one hit; "" if nothing
    schedules: int
    strategy: Strategy          # with what it has learned, unless the machine stopped
    record: Record
    panic: KernelPanic | None = None
    asserted: int = 0           # invariants evaluated
    called: dict[str, int] = field(default_factory=dict)    # calls of each override
    strays: int = 0             # steps that were taken without the baton: not controlled
    trace: Trace | None = None


def hold_trials(race: Race, side: str, strategy: Strategy, *, schedules: int = 1,
                seconds: float = FOREVER, core: int = 0, trace: bool = False) -> Trials:
    """Hold the strategy's schedules of one side in a fresh machine, up to the first hit.

    ``core``: which of the usable host cores.  ``trace``: also record trace events.
    Raises UsageError if the race's own code fails outside of its actors.
    """
    cores = usable_cores()
    at_boot = [o for o, _ in race.overrides if not o.by_value] if side == "before" else []
    with Machine(race.cpus, placement=[cores[core % len(cores)]] * race.cpus, trace=trace,
                 kernel=race.kernel, overrides=at_boot,
                 console=partial(print, file=sys.stderr, flush=True)) as machine:
        offset = machine.memory.publish(functions.dumps((race, side == "before")))
        table = Table.alloc(machine.memory)
        handle = machine.start(hold_schedules, offset, table.base, table.record, strategy,
                               schedules, seconds)
        panic = None
        try:
            held = handle.result()
        except KernelPanic as stopped:
            panic, held = stopped, Held(stopped.text, 0, strategy)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"race {race.name}: its setup, or what runs at a trial's begin or end, "
                             f"raised {type(error).__name__}: {text_of(error)}\n"
                             + "\n".join(getattr(error, "__notes__", []))) from error
        return _read(machine, race, side, table, held, panic, trace)


def _read(machine: Machine, race: Race, side: str, table: Table, held: Held,
          panic: KernelPanic | None, trace: bool) -> Trials:
    with machine.looking():
        counters = Counters.on(0)
    overrides = [o for o, _ in race.overrides] if side == "before" else []
    return Trials(
        held.text, counters.trials.load(), held.strategy,
        Record(table.steps(), Names(machine.memory)), panic, counters.asserted.load(),
        {o.symbol: calls_of(o, machine.memory) for o in overrides}, table.word("strays"),
        machine.trace() if trace else None)
