"""Run a race: boot machines for each side, hold trials in them, judge.

A hit stops the machine, or leaves it useless: the next trial gets a fresh one.  So a
side that always hits costs a boot per trial (some 20 ms), one that never does runs
in one machine.  Counts are read from shared words, which outlive a panic.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kemu import native
from kemu.errors import AtomicHold, KemuError, KernelPanic, TaskOops, UsageError, refuse, text_of
from kemu.kernel.locking.lockdep import track_locks
from kemu.machine.arguments import MAX_SECONDS, check_int, check_seconds
from kemu.machine.machine import Machine
from kemu.machine.override import calls_of
from kemu.machine.timeout import POLL_SECONDS
from kemu.machine.placement import usable_cores
from kemu.memory import functions
from kemu.memory.views import Header
from kemu.harness.race import Race
from kemu.harness.trial import Counters, hold_trials
from kemu.harness.verdict import Outcome, Side
from kemu.trace import columns

HOWS = ("forced", "jitter", "free")
SIDES = ("before", "after")
GRAINS = ("points", "ops")

JITTER_MAX_NS = 1_000_000       # of a delay; shorter ones are likelier
JITTER_ODDS = {"points": 2, "ops": 100}     # one point, or one operation, in so many is delayed
FIRST_HITS = 5                  # of an unsteered before side: enough to give a rate
DRAWN_EVENTS = 2000             # of the trace's end, looked at for the diagram
MAX_INT = 1 << 62               # of what goes into a word
STUCK_SECONDS = 20.0            # a trial takes milliseconds

Progress = Callable[[Side], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended run_race(); ``outcome`` has what was counted until then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


@dataclass(frozen=True)
class Plan:
    """How to run a race."""

    how: str = "forced"
    trials: int | None = None       # None: 100 forced, otherwise as many as the time allows
    seconds: float | None = None    # of each side; None: 10, or no limit if trials are given
    seed: int = 1
    cpus: int | None = None         # more than the race needs
    enough_hits: int = FIRST_HITS   # of an unsteered before side: then it ends
    grain: str = "points"           # where jitter acts: at points, or at every operation too
    points: bool = True             # False: points are recorded, and do nothing else

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise UsageError(f"how={self.how!r}: one of {', '.join(HOWS)}")
        if self.grain not in GRAINS:
            raise UsageError(f"grain={self.grain!r}: one of {', '.join(GRAINS)}")
        if self.grain == "ops" and self.how != "jitter":
            raise UsageError(f'grain="ops" is where jitter acts, and how={self.how!r} has none: '
                             'say how="jitter"')
        if not self.points and self.how == "forced":
            raise UsageError('points=False: how="forced" holds tasks at points; say how="jitter"')
        if self.trials is not None:
            check_int("trials", self.trials, 1, MAX_INT, "a number of trials of each side")
        if self.cpus is not None:
            check_int("cpus", self.cpus, 1, native.MAX_CPUS, "a number of CPUs")
        check_int("seed", self.seed, -MAX_INT, MAX_INT, "a number")
        if self.seconds is not None and not check_seconds("seconds", self.seconds):
            raise refuse("seconds", self.seconds, "a number of seconds, more than 0 and "
                         f"at most {MAX_SECONDS:.0f}")

    @property
    def options(self) -> str:
        """As `kemu race` takes it."""
        given = {"trials": self.trials, "seconds": self.seconds, "cpus": self.cpus,
                 "grain": self.grain if self.grain != "points" else None}
        return f"--how {self.how} --seed {self.seed}" + "".join(
            f" --{name} {value}" for name, value in given.items() if value is not None)

    @property
    def max_trials(self) -> int:
        if self.trials is not None:
            return self.trials
        return 100 if self.how == "forced" else 1 << 40

    @property
    def max_seconds(self) -> float:
        if self.seconds is not None:
            return self.seconds
        return 1e6 if self.trials is not None or self.how == "forced" else 10.0


def run_race(race: Race, plan: Plan, sides: tuple[str, ...] = SIDES,
             progress: Progress | None = None) -> Outcome:
    """Run the race's sides and judge them.

    Raises UsageError for a race that cannot run, and Interrupted, with the outcome so far, if
    Ctrl-C ends it.
    """
    race.check()
    if plan.how == "forced" and not race.holds:
        raise UsageError(f"race {race.name} has no force(): it cannot be forced; try --how jitter")
    outcome = Outcome(race.name, plan.how, plan.seed, title=race.title, options=plan.options)
    for side in sides:
        run = _SideRun(race, plan, side, progress or (lambda side: None))
        outcome.sides[side] = run.side
        try:
            run.run()
        except KeyboardInterrupt:
            run.side.doubts.append("Ctrl-C ended it")
            raise Interrupted(outcome) from None
    return outcome


def placement_of(race: Race, cpus: int) -> list[int]:
    """The host core of each CPU: as the race asks, as far as the host has them."""
    cores = usable_cores()
    wanted = list(race.placement) if race.placement is not None else list(range(race.cpus))
    wanted += range(len(wanted), cpus)
    return [cores[number % len(cores)] for number in wanted]


def _last_frame(panic: KernelPanic) -> str:
    """Where in whose code an exception that nobody caught was raised; "" for other panics."""
    lines = panic.traceback.splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    if not isinstance(panic, TaskOops) or not places:
        return ""
    return "\n".join("  " + line.strip() for line in lines[places[-1]:places[-1] + 2])


class _SideRun:
    """One side, machine after machine."""

    def __init__(self, race: Race, plan: Plan, side: str, progress: Progress) -> None:
        self.race, self.plan, self.progress = race, plan, progress
        self.side = Side(side, plan.how)
        self.overrides = [o for o, _ in race.overrides] if side == "before" else []
        self.called = {o.symbol: 0 for o in self.overrides}
        self.asserted = self.unreached = self.boots = 0
        self.began = self.deadline = 0.0
        self.stuck = False

    def run(self) -> Side:
        self.began = time.monotonic()
        self.deadline = self.began + self.plan.max_seconds
        while True:
            hit = self._one_machine()
            self.side.seconds = time.monotonic() - self.began
            if hit and self.side.seconds_to_hit is None:
                self.side.seconds_to_hit = round(self.side.seconds, 3)
            self.progress(self.side)
            enough = self.plan.how != "forced" and self.side.hits >= self.plan.enough_hits
            if enough or self.stuck or self.side.trials >= self.plan.max_trials or \
                    time.monotonic() >= self.deadline:
                break
        self._find_doubts()
        return self.side

    def _one_machine(self) -> bool:
        """Trials in one machine, up to the first hit; whether there was one."""
        cpus = max(self.race.cpus, self.plan.cpus or 0)
        at_boot = [o for o in self.overrides if not o.by_value]
        with Machine(cpus, placement=placement_of(self.race, cpus), trace=True,
                     kernel=self.race.kernel, console=partial(print, file=sys.stderr, flush=True),
                     overrides=at_boot) as machine:
            self._arm(machine)
            self.boots += 1
            before = (self.side.trials, self.side.overlaps)
            offset = machine.memory.publish(
                functions.dumps((self.race, self.side.side == "before")))
            text = self._hold_trials(machine, offset, before)
            self._tally(machine, before)
            if text:
                self._record_hit(machine, text)
            elif not self.side.hits:
                self.side.trace = machine.trace()
            return bool(text)

    def _hold_trials(self, machine: Machine, offset: int, before: tuple[int, int]) -> str:
        handle = machine.start(hold_trials, offset, self.plan.how == "forced",
                               self.plan.max_trials - before[0],
                               max(0.0, self.deadline - time.monotonic()))
        try:
            ended, looks = -1, 0        # looks, and not the time: see kemu.machine.timeout
            while not handle.wait(POLL_SECONDS):
                self._count(machine, before)
                self.progress(self.side)
                if self.side.trials != ended:
                    ended, looks = self.side.trials, 0
                looks += 1
                if looks * POLL_SECONDS > STUCK_SECONDS:
                    return self._give_up(machine)
            return handle.result()
        except KernelPanic as panic:
            if panic.text.startswith(f"Oops: {AtomicHold.__name__} "):
                raise UsageError(f"race {self.race.name}: its script holds {panic.task} at a point "
                                 "with a spinlock held: say kind=\"locked\" in force()") from panic
            self.side.where = self.side.where or _last_frame(panic)
            if self.side.side == "before" and self.race.expects not in panic.report:
                self.side.doubts.append(f"an unexpected panic: {panic.text}")
            return panic.text
        except KemuError:
            raise
        except Exception as error:
            raise UsageError(f"race {self.race.name}: its setup, or what runs at a trial's begin or "
                             f"end, raised {type(error).__name__}: {text_of(error)}\n"
                             + "\n".join(getattr(error, "__notes__", []))) from error

    def _give_up(self, machine: Machine) -> str:
        """A trial that neither ends nor comes to rest: after the fix that is a failure."""
        self.stuck = True
        if self.side.side == "before":
            self.side.doubts.append(f"a trial did not end in {STUCK_SECONDS:.0f} s")
        return f"a trial did not end in {STUCK_SECONDS:.0f} s\n\n{machine.report(stacks=True)}"

    def _arm(self, machine: Machine) -> None:
        header = Header(machine.memory)
        track_locks(machine.memory)
        if not self.plan.points:
            header.gate.fetch_or(native.GATE_NO_POINTS)
        if self.plan.how != "jitter":
            return
        header.jitter_max_ns.store(JITTER_MAX_NS)
        header.jitter_odds.store(JITTER_ODDS[self.plan.grain])
        header.jitter_seed.store(self.plan.seed + self.boots)
        header.gate.fetch_or(native.GATE_JITTER)
        if self.plan.grain == "ops":
            header.gate.fetch_or(native.GATE_JITTER_OPS)

    def _count(self, machine: Machine, before: tuple[int, int]) -> Counters:
        with machine.looking():
            counters = Counters.on(0)
        self.side.trials = before[0] + counters.trials.load()
        self.side.overlaps = before[1] + counters.overlaps.load()
        self.side.seconds = time.monotonic() - self.began
        return counters

    def _tally(self, machine: Machine, before: tuple[int, int]) -> None:
        counters = self._count(machine, before)
        self.asserted += counters.asserted.load()
        self.unreached |= counters.unreached.load()
        for override in self.overrides:
            self.called[override.symbol] += calls_of(override, machine.memory)

    def _record_hit(self, machine: Machine, text: str) -> None:
        self.side.hits += 1
        # A panic comes before the referee can count that the sides met; they did.
        self.side.overlaps = max(self.side.overlaps, self.side.hits)
        if not self.side.diagram:
            self.side.failure = text
            self.side.trace = machine.trace()
            labels = self.race.labels or columns.default_labels(a.name for a in self.race.actors)
            try:
                self.side.diagram = columns.draw(
                    self.side.trace, labels=labels, names=self.race.names,
                    since=columns.LAST_TRIAL, tail=DRAWN_EVENTS, verdict=text)
            except (LookupError, ValueError) as error:
                raise UsageError(f"race {self.race.name}: a label cannot be filled in "
                                 f"({type(error).__name__}: {error}); kemu.trace.columns tells "
                                 "what stands in braces") from error

    def _find_doubts(self) -> None:
        """Why the run proves nothing, if so."""
        race, side = self.race, self.side
        side.doubts = list(dict.fromkeys(side.doubts))
        side.doubts += [f"the override of {name.partition(':')[2]} was never called"
                        for name, calls in self.called.items() if not calls]
        for number, hold in enumerate(race.holds if self.plan.how == "forced" else []):
            if self.unreached >> number & 1:
                side.doubts.append(f"{hold.who} never reached its point {hold.at!r}")
        if race.invariants and not self.asserted and not side.hits:
            side.doubts.append("no invariant was ever evaluated")
        if side.side == "before" and not side.hits and self.plan.how != "forced":
            side.doubts.append("it never hit: give it more time, or --how forced")
        if not side.overlaps:
            side.doubts.append("the sides never met in the window")
