"""The referee: the task that runs trials in a machine, and says what the first failure is.

trial says what a trial consists of, findings what a failure is.

Linux: none; kemu's own.
Locks: none.  Callers: side_run, which starts run_trials() as a task of CPU 0; explore/referee.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kemu import native
from kemu.errors import UsageError, shown
from kemu.harness import script, tally
from kemu.harness.declared import Step
from kemu.harness.findings import Finding, Kind, is_hit
from kemu.harness.race import Race
from kemu.harness.tally import Counters
from kemu.harness.trial import ActorState, Trial, TrialWords, load_race, start_actor
from kemu.kernel.own.quiesce import arm_quiescence
from kemu.kernel.own.version import this_kernel
from kemu.kernel.sched.audit import audit
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched.migration import set_cpus_allowed_ptr
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.machine import override
from kemu.memory import current_memory, points
from kemu.memory.cleared import ClearedVariables
from kemu.memory.views import Header, Task, took_turns
from kemu.native import now_ns

AUDIT_EVERY = 10        # trials that are not forced, between two audits


class Referee:
    """The task that runs trials."""

    def __init__(self, side: str, forced: bool) -> None:
        self.race: Race = load_race()
        self.side = side
        self.forced = forced
        self.memory: native.Memory = current_memory.get()
        self.header: Header = Header(self.memory)
        self.variables: ClearedVariables = ClearedVariables(self.memory)
        self.places: list[points.Hold] = script.slots(self.memory, self.race.holds) if forced else []
        self.counters: Counters = Counters.on(0)
        self.words: TrialWords = TrialWords.on(0)
        self.every: int = self.race.audit_every or (1 if forced else AUDIT_EVERY)
        self.unaudited: int = 0
        self.states: list[ActorState] = [ActorState.alloc() for _ in [*self.race.actors, *self.race.kthreads]]
        self.actors: list[Task] = self._start_actors()
        self.trial: Trial = Trial(self.race, self.states)
        override.arm(self.memory, False)    # otherwise setup might start the race
        for step in self.race.setups:
            step(self.trial)
        self.rest()        # otherwise a thread that is inside a fixed function would stay there
        override.arm(self.memory)

    def _start_actors(self) -> list[Task]:
        actors = []
        for index, actor in enumerate(self.race.actors):
            task = start_actor(index, actor, self.states)
            set_cpus_allowed_ptr(task, 1 << actor.cpu)
            wake_up_process(task)
            wait_for_completion(self.words.over)
            actors.append(task)
        return actors

    def run_one(self) -> Finding | None:
        """One trial: what it found, or None."""
        words = self.words
        words.number.add(1)
        self.variables.clear()
        self.prepare()
        for word in (words.done, words.windows, words.inside, words.met, words.seen):
            word.store(0)
        self.steer()
        words.turns.store(took_turns(self.memory))
        self.counters.trials.add(1)
        for state in self.states[:len(self.race.actors)]:
            complete(state.go)
        self.rest()
        self.header.gate.fetch_and(~native.GATE_HOLD)
        return self._close()

    def prepare(self) -> None:
        """What the race does before each trial.  May sleep."""
        for step in self.race.prepares:
            step(self.trial)

    def conclude(self) -> None:
        """What the race does after each trial that found nothing.  May sleep."""
        for step in self.race.concludes:
            step(self.trial)

    def steer(self) -> None:
        """Arm what steers the trial, if anything does; a subclass has another way.  May sleep."""
        if self.forced:
            self.rest()         # otherwise what prepare set going would use up the holds
            script.arm(self.places, self.race.holds, self.side, self.words.number.load(),
                       {actor.name for actor in self.race.actors})
            self.header.gate.fetch_or(native.GATE_HOLD)

    def rest(self) -> None:
        """Sleep until nothing but the referee has anything to do."""
        arm_quiescence(self.words.over)
        wait_for_completion(self.words.over)

    def _close(self) -> Finding | None:
        finding = self._find()
        hit = finding is not None and is_hit(self.race, self.side, finding)
        tally.close_trial(self.race, self.side, self.places, hit)
        self.unaudited += 1
        if finding is not None:
            return finding
        self.conclude()
        return self._audit() if self.unaudited >= self.every else None

    def _find(self) -> Finding | None:
        """The finding of a machine at rest, or None."""
        for step in self.race.invariants:
            broken = self._broken(step)
            if broken:
                return Finding(Kind.INVARIANT, broken)
        asleep = tuple(actor.name for actor in self.race.actors if not self.trial.done(actor.name))
        if asleep:
            return Finding(Kind.ASLEEP, "every task is blocked, and " + ", ".join(asleep)
                           + f" sleep{'s' * (len(asleep) == 1)} for ever", asleep)
        for step in self.race.postconditions:
            broken = self._broken(step)
            if broken:
                return Finding(Kind.POSTCONDITION, broken)
        return None

    def _broken(self, step: Step) -> str:
        """What the step says does not hold; "" if it holds."""
        self.counters.asserted.add(1)
        try:
            said = step(self.trial)
        except AssertionError as error:
            return f"{step.__name__}: {error}" if str(error) else _first_line(step)
        if said is not None:
            raise UsageError(f"{step.__name__} returned {shown(said)}: it asserts what must hold, "
                             "and returns nothing")
        return ""

    def _audit(self) -> Finding | None:
        """Whether the machine keeps its own invariants, once conclude has come to rest."""
        self.rest()
        self.unaudited = 0
        self.counters.audited.add(1)
        broken = audit() + this_kernel().audit()
        return Finding(Kind.AUDIT, "the audit found: " + "; ".join(broken)) if broken else None

    def is_over(self) -> bool:
        """Whether the controller wants no further trial."""
        last = self.counters.last.load()
        return 0 < last <= self.counters.trials.load()

    def last_audit(self) -> Finding | None:
        """The audit of the trials since the last one.  May sleep."""
        return self._audit() if self.unaudited else None


def _first_line(step: Callable[..., Any]) -> str:
    doc = (step.__doc__ or "").strip().splitlines()
    return f"{step.__name__} does not hold" + (f": {doc[0]}" if doc else "")


def run_trials(side: str, forced: bool, trials: int, seconds: float) -> Finding | None:
    """Run trials until one finds something, or there were enough.  A task; may sleep."""
    referee = Referee(side, forced)
    until = now_ns() + int(seconds * 1e9)
    for _ in range(trials):
        found = referee.run_one()
        if found or referee.is_over() or now_ns() >= until:
            break
    return found or referee.last_audit()
