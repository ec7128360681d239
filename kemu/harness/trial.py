"""What runs in the machine: the referee, the actors, and what they share.

A trial:

    referee    clears the user's per-CPU variables, runs prepare, arms the holds,
               lets the actors go, and sleeps
    actors     meet at a barrier, run their functions
    the last CPU to go idle wakes the referee (kernel/quiesce.py)
    referee    asserts the invariants, runs conclude

So a trial is over when nothing but the referee can run: what the actors set going has
come to its end too, and a trial that loses a wake-up ends at once, with no time-out.

    Ring.arrived    <- actors at the barrier: by each, fetch and add
    Ring.started    <- the trial's number: by the last to arrive
    Ring.inside     <- a bit per actor in its window
    Ring.met        <- 1 once two were inside together, or only one has a window

Counters are shared words, since a hit may stop the machine in mid-trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, cast

from kemu import native
from kemu.errors import UsageError, shown
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.kthread import kthread_create_on_node
from kemu.kernel.own.point import point
from kemu.kernel.own.quiesce import arm_quiescence
from kemu.kernel.sched.migration import set_cpus_allowed_ptr
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.machine import override
from kemu.memory import functions, current_memory
from kemu.memory.cleared import ClearedVariables
from kemu.memory.struct import Embedded, PerCPU, Struct, TaskRef, Word
from kemu.memory.points import Hold
from kemu.memory.views import Header, Task
from kemu.native import now_ns
from kemu.harness.race import DONE, START, Actor, Race


class Counters(PerCPU, keep=True):
    """Of CPU 0: what the controller reads, also after a panic."""

    trials = Word()
    overlaps = Word()
    asserted = Word()       # invariants evaluated
    unreached = Word()      # holds whose point was never reached, a bit each


class Ring(PerCPU, keep=True):
    """Of CPU 0: the trial that runs."""

    arrived = Word()
    started = Word()
    ended = Word()
    windows = Word()
    inside = Word()
    met = Word()
    over = Embedded(Completion)


class Stage(Struct):
    """An actor's own."""

    go = Embedded(Completion)
    task = TaskRef()
    trials = Word()         # it has ended so many


class Trial:
    """What an actor's function, or one of the referee's, is called with."""

    def __init__(self, race: Race, stages: list[Stage], actor: int = -1) -> None:
        self.race = race
        self.number = 0
        self._stages = stages
        self._actor = actor

    def task(self, who: Callable[..., Any]) -> Task:
        """The task of an actor."""
        for actor, stage in zip(self.race.actors, self._stages, strict=True):
            if actor.function is who or actor.name == getattr(who, "__name__", "")[:15]:
                return cast(Task, stage.task.get())
        raise UsageError(f"{who!r:.60} is no actor of race {self.race.name}")

    @contextmanager
    def window(self) -> Iterator[None]:
        """The part of the function that races: a trial counts if two are in theirs together."""
        ring, mine = Ring.on(0), 1 << self._actor
        ring.windows.fetch_or(mine)
        if ring.inside.fetch_or(mine) & ~mine:
            ring.met.store(1)
        try:
            yield
        finally:
            ring.inside.fetch_and(~mine)


_loaded: dict[int, Race] = {}


def load_race(offset: int) -> Race:
    """The race published there, once per process, so that each function is one object.

    Overrides of functions that travel by value are put in place here: nobody in
    this process can have had such a function before.
    """
    if offset not in _loaded:
        race, before = functions.load(offset)
        for wanted, target in race.overrides if before else []:
            if wanted.by_value:
                override.install(wanted, cast(FunctionType, target))
        _loaded[offset] = race
    return _loaded[offset]


def actor_main(data: tuple[int, int, list[Stage]]) -> int:
    """An actor's kthread: its function, once per trial, for ever."""
    offset, index, stages = data
    trial = Trial(load_race(offset), stages, index)
    function = trial.race.actors[index].function
    ring = Ring.on(0)
    complete(ring.over)         # loaded, and ready
    while True:
        wait_for_completion(stages[index].go)
        trial.number += 1
        _meet(ring, len(stages))
        point(START)
        function(trial)
        point(DONE)
        stages[index].trials.store(trial.number)
        ring.ended.add(1)


def _meet(ring: Ring, actors: int) -> None:
    """The barrier: all go on when the last has come."""
    started = ring.started.load()
    if ring.arrived.add(1) == actors:
        ring.arrived.store(0)
        ring.started.store_release(started + 1)
    else:
        ring.started.wait_while(started)


def _start_actor(offset: int, index: int, actor: Actor, stages: list[Stage]) -> None:
    task = kthread_create_on_node(actor_main, (offset, index, stages), 0,
                                  actor.name.replace("%", "%%"), home=actor.cpu)
    stages[index].task.set(task)
    set_cpus_allowed_ptr(task, 1 << actor.cpu)
    wake_up_process(task)
    wait_for_completion(Ring.on(0).over)


def _arm(race: Race, memory: native.Memory) -> None:
    for number, hold in enumerate(race.holds):
        Hold(memory, number).arm(hold.kind, hold.who, hold.at, hold.until_who, hold.until)


def _note_unreached(race: Race, memory: native.Memory) -> None:
    """A hold whose point its task never came to did not steer anything."""
    for number in range(len(race.holds)):
        if not Hold(memory, number).was_reached():
            Counters.on(0).unreached.fetch_or(1 << number)


class Referee:
    """The task that holds trials."""

    def __init__(self, offset: int, forced: bool) -> None:
        self.race = load_race(offset)
        self.forced = forced
        self.memory = current_memory.get()
        self.header = Header(self.memory)
        self.variables = ClearedVariables(self.memory)
        self.counters, self.ring = Counters.on(0), Ring.on(0)
        self.stages = [Stage.alloc() for _ in self.race.actors]
        for index, actor in enumerate(self.race.actors):
            _start_actor(offset, index, actor, self.stages)
        self.trial = Trial(self.race, self.stages)
        override.arm(self.memory, False)    # or setup might be the race already
        for step in self.race.setups:
            step(self.trial)
        self._rest()        # or a thread that is in a fixed function yet may stay in it
        override.arm(self.memory)

    def hold_one(self) -> str:
        """One trial; what it hit, or "" for nothing."""
        race, ring = self.race, self.ring
        self.trial.number += 1
        self.variables.clear()
        for step in race.prepares:
            step(self.trial)
        for word in (ring.ended, ring.windows, ring.inside, ring.met):
            word.store(0)
        if self.forced:
            self._rest()        # or what prepare set going would use the holds up
            _arm(race, self.memory)
            self.header.gate.fetch_or(native.GATE_HOLD)
        self.counters.trials.add(1)
        for stage in self.stages:
            complete(stage.go)
        self._rest()
        self.header.gate.fetch_and(~native.GATE_HOLD)
        return self._judge()

    def _rest(self) -> None:
        """Sleep until nothing but the referee has anything to do."""
        arm_quiescence(self.ring.over)
        wait_for_completion(self.ring.over)

    def _judge(self) -> str:
        race, ring = self.race, self.ring
        if self.forced:
            _note_unreached(race, self.memory)
        windows = ring.windows.load()
        if ring.met.load() or (windows and not windows & (windows - 1)):
            self.counters.overlaps.add(1)
        for step in race.invariants:
            self.counters.asserted.add(1)
            try:
                said = step(self.trial)
            except AssertionError as error:
                return f"{step.__name__}: {error}" if str(error) else _first_line(step)
            if said is not None:
                raise UsageError(f"the invariant {step.__name__} returned {shown(said)}: it "
                                 "asserts what must hold, and returns nothing")
        if ring.ended.load() != len(race.actors):
            return "every task is blocked, and " + ", ".join(
                actor.name for actor, stage in zip(race.actors, self.stages, strict=True)
                if stage.trials.load() != self.trial.number) + " sleeps for ever"
        for step in race.concludes:
            step(self.trial)
        return ""


def _first_line(step: Callable[..., Any]) -> str:
    doc = (step.__doc__ or "").strip().splitlines()
    return f"{step.__name__} does not hold" + (f": {doc[0]}" if doc else "")


def hold_trials(offset: int, forced: bool, trials: int, seconds: float) -> str:
    """Hold trials until one hits, or enough were held.  Runs as a task; returns what it hit."""
    referee = Referee(offset, forced)
    until = now_ns() + int(seconds * 1e9)
    for _ in range(trials):
        hit = referee.hold_one()
        if hit or now_ns() >= until:
            return hit
    return ""
