"""Run one side of a race: machine after machine, until there were enough trials or hits.

A failure stops the machine, or leaves it useless, so the next trial gets a fresh one.  A side
that always hits therefore costs a boot per trial (some 20 ms), and a side that never hits runs
in one machine.  Counts are read from shared words, which outlive a panic.

What is a hit is decided in findings, whose mistake an exception is in mistakes, and why a
machine does not come to rest in rest.

Linux: none; kemu's own.
Locks: none.  Callers: side_jobs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kemu import native
from kemu.errors import KemuError, KernelHang, KernelPanic, UsageError, text_of
from kemu.harness.findings import Finding, Kind, is_hit, why_not
from kemu.harness.kept import keep_report
from kemu.harness.mistakes import last_frame, mistake_in
from kemu.harness.plan import Plan
from kemu.harness.race import Race
from kemu.harness.referee import run_trials
from kemu.harness.rest import unrest
from kemu.harness.script import slots
from kemu.harness.sides import HIT, Variant
from kemu.harness.tally import Counters, Totals, close_trial
from kemu.harness.verdict import Side
from kemu.kernel.locking.lockdep import track_locks
from kemu.machine.jitter import arm_jitter
from kemu.machine.machine import Machine
from kemu.machine.override import calls_of
from kemu.machine.placement import Layout
from kemu.machine.timeout import POLL_SECONDS
from kemu.memory.views import Header
from kemu.trace import columns

OTHER_FAILURES = 3              # other failures that end an unsteered side that is expected to hit
DRAWN_EVENTS = 2000             # the last events of the trace, which the diagram may show
STUCK_SECONDS = 20.0            # a trial takes milliseconds
OVERTIME_SECONDS = 5.0          # for the trial that is under way when the time is up


def layout_of(race: Race, cpus: int) -> Layout:
    """Which CPUs share a host core: as the race asks; each further CPU gets a core of its own."""
    wanted = race.placement if race.placement is not None else range(race.cpus)
    return Layout((*wanted, *range(race.cpus, cpus)))


class SideRun:
    """One side, machine after machine."""

    def __init__(self, race: Race, side: str, plan: Plan, layout: Layout, is_over: Callable[[], bool],
                 progress: Callable[[Side], None]) -> None:
        """is_over() is called after each machine, and while one runs; True ends the run early."""
        self.race = race
        self.plan = plan
        self.layout = layout
        self.is_over = is_over
        self.progress = progress
        self.cpus: int = max(race.cpus, plan.cpus or 0)
        self.variant: Variant = race.side(side)
        self.side: Side = Side(side, plan.how, expect=self.variant.expect)
        self.totals: Totals = Totals(race)
        self.called: dict[str, int] = {o.symbol: 0 for o in self.variant.overrides}
        self.boots: int = 0
        self.others: int = 0
        self.began: float = 0.0
        self.deadline: float = 0.0
        self.stuck: bool = False

    def run(self) -> Side:
        """Run it to its end.  Raises UsageError for a mistake in the race's file."""
        self.began = time.monotonic()
        self.deadline = self.began + self.plan.max_seconds
        while True:
            hit = self._one_machine()
            self.side.seconds = time.monotonic() - self.began
            if hit and self.side.seconds_to_hit is None:
                self.side.seconds_to_hit = round(self.side.seconds, 3)
            self.progress(self.side)
            if self._enough():
                break
        return self.side

    def failed(self) -> bool:
        """Whether it ended because of failures that are not hits."""
        return self.stuck or self.others >= (1 if self.plan.forced else OTHER_FAILURES)

    def _enough(self) -> bool:
        return (self.is_over() or self.failed() or self.side.trials >= self.plan.max_trials
                or time.monotonic() >= self.deadline)

    def _one_machine(self) -> bool:
        """Trials in one machine, up to the first failure; whether it was a hit."""
        with Machine(self.cpus, placement=self.layout, trace=True,
                     kernel=self.race.kernel, console=partial(print, file=sys.stderr, flush=True),
                     overrides=self.variant.overrides, carried=self.race) as machine:
            self._arm(machine)
            self.boots += 1
            self.side.placement = self.side.placement or machine.placement
            before = (self.side.trials, self.side.witnessed, self.side.audits)
            finding = self._run_trials(machine, before)
            if finding is not None and finding.hung and self.plan.report_dir is not None:
                keep_report(Path(self.plan.report_dir), [self.race.name, self.side.side, self.plan.how,
                            self.plan.seed, self.boots], finding,
                            finding.report or machine.report(stacks=True))
            hit = finding is not None and self._judge(finding)
            self._count(machine, before, hit)
            if finding is not None:
                self._record(machine, finding, hit)
            elif not self.side.hits:
                self.side.trace = machine.trace()
            return hit

    def _judge(self, finding: Finding) -> bool:
        """Whether it counts as a hit of this side: see findings."""
        if self.side.expect != HIT:
            return not self.stuck or not self.side.doubts
        if is_hit(self.race, self.side.side, finding):
            return True
        self.others += 1
        if not (self.stuck and self.side.doubts):
            self.side.doubts.append(why_not(self.race, self.side.side, finding))
        return False

    def _run_trials(self, machine: Machine, before: tuple[int, int, int]) -> Finding | None:
        handle = machine.start(run_trials, self.side.side, self.plan.forced,
                               self.plan.max_trials - before[0],
                               max(0.0, self.deadline - time.monotonic()))
        overtime = max(self.deadline, time.monotonic()) + OVERTIME_SECONDS
        try:
            ended, looks = -1, 0        # looks, and not the time: see kemu.machine.timeout
            while not handle.wait(POLL_SECONDS):
                self._look(machine, before)
                self.progress(self.side)
                if self.is_over():
                    self._end_early(machine)
                if self.side.trials != ended:
                    ended, looks = self.side.trials, 0
                looks += 1
                if looks * POLL_SECONDS > self._stuck_seconds:
                    return self._give_up(machine)
                if time.monotonic() > overtime:
                    self._cut_off()
                    return None
            return handle.result()
        except KernelPanic as panic:
            finding = Finding(Kind.PANIC, panic.text,
                              report=panic.report if isinstance(panic, KernelHang) else "")
            mistake = mistake_in(self.race, self.side.side, panic, finding)
            if mistake:
                raise UsageError(f"race {self.race.name}: {mistake}") from panic
            self.side.where = self.side.where or last_frame(panic)
            return finding
        except KemuError:
            raise
        except Exception as error:
            raise UsageError(f"race {self.race.name}: its setup, or what runs at a trial's begin or "
                             f"end, raised {type(error).__name__}: {text_of(error)}\n"
                             + "\n".join(getattr(error, "__notes__", []))) from error

    def _end_early(self, machine: Machine) -> None:
        """Have the referee end with the trial that is under way."""
        with machine.looking():
            Counters.on(0).last.store(1)

    @property
    def _stuck_seconds(self) -> float:
        return self.plan.stuck_seconds or STUCK_SECONDS

    def _give_up(self, machine: Machine) -> Finding:
        """A trial neither ends nor comes to rest."""
        self.stuck = True
        why = unrest(machine, self.race)
        text = f"a trial did not end in {self._stuck_seconds:.0f} s"
        if why.blame:
            self.side.doubts.append(f"{text}: {why.blame}")
        return Finding(Kind.STUCK, f"{text}\n{why.tasks}\n\n{machine.report(stacks=True)}")

    def _cut_off(self) -> None:
        """The time is up, and the trial goes on.  This is not a finding, because the host may be slow."""
        self.stuck = True
        self.side.doubts.append(f"the last trial had not ended {OVERTIME_SECONDS:.0f} s after the time was "
                                "up, and was cut off: give the run more seconds, or --trials")

    def _arm(self, machine: Machine) -> None:
        track_locks(machine.memory)
        if not self.plan.points:
            Header(machine.memory).gate.fetch_or(native.GATE_NO_POINTS)
        if self.plan.how == "jitter":
            arm_jitter(machine.memory, self.plan.seed + self.boots, self.plan.grain)

    def _look(self, machine: Machine, before: tuple[int, int, int]) -> None:
        with machine.looking():
            counters = Counters.on(0)
            now = (counters.trials.load(), counters.counted.load(), counters.audited.load())
        self.side.trials, self.side.witnessed, self.side.audits = (
            then + more for then, more in zip(before, now, strict=True))
        self.side.seconds = time.monotonic() - self.began

    def _count(self, machine: Machine, before: tuple[int, int, int], hit: bool) -> None:
        with machine.looking():
            if not self.stuck:
                holds = self.race.holds if self.plan.forced else []
                close_trial(self.race, self.side.side, slots(machine.memory, holds), hit)
            self.totals.add(Counters.on(0))
        self._look(machine, before)
        for override in self.variant.overrides:
            self.called[override.symbol] += calls_of(override, machine.memory)

    def _record(self, machine: Machine, finding: Finding, hit: bool) -> None:
        if hit:
            self.side.hits += 1
            # What the last audit of a machine finds comes when its trial is closed.
            self.side.witnessed = max(self.side.witnessed, self.side.hits)
        if self.side.diagram or (self.side.failure and not hit):
            return
        self.side.failure = finding.text
        self.side.trace = machine.trace()
        labels = self.race.labels or columns.default_labels(a.name for a in self.race.actors)
        try:
            self.side.diagram = columns.draw(
                self.side.trace, labels=labels, names=self.race.names, since=columns.LAST_TRIAL,
                tail=DRAWN_EVENTS, verdict=finding.text.partition("\n\n")[0])
        except (LookupError, ValueError) as error:
            raise UsageError(f"race {self.race.name}: a label cannot be filled in "
                             f"({type(error).__name__}: {error}); kemu.trace.columns tells "
                             "what stands in braces") from error
