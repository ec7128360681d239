"""Race: a public object that says what races with what, and how to tell.

    race = Race("reactor-lost-wakeup", cpus=2)

    @race.before(park)              the function as it was before the fix
    @race.actor(cpu=1)              what runs on a CPU, once per trial
    @race.kthread                   a kernel thread that a step starts with t.kthread()
    @race.prepare                   in the referee, before each trial
    @race.invariant()               the hit: what does not hold when a trial has hit
    @race.postcondition             what an operation promised: must hold on every side
    race.asleep(actor)              the hit: that actor sleeps for ever
    race.witness("name", "...")     what a trial must have shown in order to count
    race.takes_turns("...")         why tasks of one process may run at once in it
    race.force(hold=..., at=..., until=...)

See the README for a whole one.  A race object runs nothing itself: runner boots machines
for it, and referee and trial are what runs in them.  verdict says how a race is judged.

Linux: none; kemu's own.
Locks: none.  Callers: race files; runner.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any, Self, TypeVar, cast

from kemu import native
from kemu.errors import UsageError, refuse, shown
from kemu.harness.declared import (Actor, Step, Witness, check_placement, check_step, text_of_code)
from kemu.harness.operation import Operation
from kemu.harness.script import DONE, KINDS, START, Hold, caller_line
from kemu.harness.sides import AFTER, BEFORE, CLEAN, HIT, Variant
from kemu.kernel.own.version import DEFAULT, version_number
from kemu.machine.arguments import check_int

__all__ = ["DONE", "KINDS", "START", "Actor", "Hold", "Race", "Step", "Variant"]

F = TypeVar("F", bound=Callable[..., Any])
MAX_WITNESSES = 32
MAX_PREEMPTIONS = 50
MEMORY = {"sc": native.MEMORY_SC, "tso": native.MEMORY_TSO, "weak": native.MEMORY_WEAK}
"""The memory models of a search (native/hardware/storebuffer.c)."""


class Race:
    """A race: its sides, its actors, and how to recognise a hit.

    ``cpus``: how many it needs.  ``placement``: a number for each: CPUs with the same number
    share a host core, which the machine chooses.  ``expects``: a part of the text of the panic
    that is the hit; needed where the hit is a panic.  ``names``: what tasks are called in diagrams.
    ``labels``: what events and points are called there; only labelled ones are drawn.
    ``origin``: what the kernel of the before side is: a release, a mutation, a composite.
    ``audit_every``: the referee audits the machine after every so many trials; None: after
    each forced trial, otherwise after every 10th.  ``memory``: the memory model that the before
    side needs in order to hit, "tso" or "weak" where the sides differ by a barrier: such a race
    is searched, with that model, if nothing else is said.  ``preemptions``: how many a schedule may
    have in an exhaustive search of the race, if nothing else is said.
    Raises UsageError for a wrong argument.
    """

    def __init__(self, name: str, *, cpus: int, placement: Sequence[int] | None = None,
                 title: str = "", fix: str = "", expects: str = "", origin: str = "",
                 names: dict[str, str] | None = None, labels: dict[str, str] | None = None,
                 budget: str = "", mutation: bool = False, kernel: str = DEFAULT,
                 audit_every: int | None = None, memory: str = "sc", preemptions: int = 2) -> None:
        if memory not in MEMORY:
            raise refuse("memory", memory, f"for race {name}, one of {', '.join(MEMORY)}")
        check_int("cpus", cpus, 1, native.MAX_CPUS, f"for race {name}, a number of CPUs")
        if placement is not None:
            check_placement(name, cpus, placement)
        if not isinstance(expects, str):
            raise refuse("expects", expects, f"for race {name}, a part of the text of a panic")
        if audit_every is not None:
            check_int("audit_every", audit_every, 1, 1 << 30, f"for race {name}, a number of trials")
        check_int("preemptions", preemptions, 0, MAX_PREEMPTIONS, f"for race {name}, in a schedule")
        version_number(kernel)
        self.name = name
        self.cpus = cpus
        self.placement = placement
        self.title = title
        self.fix = fix
        self.names: dict[str, str] = names or {}
        self.labels: dict[str, str] = labels or {}
        self.budget = budget
        self.mutation = mutation
        self.kernel = kernel
        self.audit_every = audit_every
        self.memory = memory
        self.preemptions = preemptions
        self.actors: list[Actor] = []
        self.kthreads: list[Actor] = []         # cpu is -1: t.kthread() says where
        self.invariants: list[Step] = []
        self.postconditions: list[Step] = []
        self.sleepers: list[str] = []
        self.witnesses: list[Witness] = []
        self.holds: list[Hold] = []
        self.setups: list[Step] = []
        self.prepares: list[Step] = []
        self.concludes: list[Step] = []
        self.turns_allowed: str = ""            # why a trial counts in which tasks took turns
        self._sides = {BEFORE: Variant(BEFORE, HIT, expects, origin),
                       AFTER: Variant(AFTER, CLEAN)}

    # -- sides -------------------------------------------------------------------

    def before(self, target: Callable[..., Any]) -> Callable[[F], F]:
        """Decorator: this function stood in target's place before the fix.

        It takes the same parameters.  Raises UsageError if it does not.
        """
        return self._sides[BEFORE].replaces(target)

    def after(self, target: Callable[..., Any]) -> Callable[[F], F]:
        """Decorator: this function stands in target's place on the after side: another fix."""
        return self._sides[AFTER].replaces(target)

    def variant(self, name: str, *, expect: str = HIT, expects: str | None = None,
                origin: str = "") -> Variant:
        """A side of its own, after those declared before it.

        ``expect``: "hit" or "clean".  ``expects``: as the race's, which is the default.  A race
        with named sides has the side "before" only if it gives it functions.  It always has the side
        "after": the kernel as it is in kemu, or with the functions of ``race.after()``.
        """
        if expect not in (HIT, CLEAN):
            raise refuse("expect", expect, f"for race {self.name}, '{HIT}' or '{CLEAN}'")
        if not isinstance(name, str) or not name or name in (*self._sides, "both", "all"):
            raise refuse("variant", name, f"for race {self.name}, a new name for a side, beside "
                         + ", ".join(self._sides))
        wanted = self._sides[BEFORE].expects if expects is None else expects
        after = self._sides.pop(AFTER)
        self._sides |= {name: Variant(name, expect, wanted, origin), AFTER: after}
        return self._sides[name]

    @property
    def sides(self) -> tuple[str, ...]:
        """The names of its sides, in the order in which they run."""
        named = len(self._sides) > 2
        return tuple(name for name, side in self._sides.items()
                     if name != BEFORE or side.overrides or not named)

    def side(self, name: str) -> Variant:
        """One of its sides.  Raises UsageError, with the names there are."""
        if name not in self._sides:
            raise UsageError(f"race {self.name} has no side {name!r}; there are "
                             + ", ".join(self.sides))
        return self._sides[name]

    @property
    def default_how(self) -> str:
        """The way to run it that shows what it is about, if nothing else is said."""
        if self.memory != "sc":
            return "exhaustive"
        return "forced" if self.holds else "jitter"

    def copy(self) -> Self:
        """The same race, to which more can be declared without a change of this one."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list):
                setattr(other, name, list(value))
        other._sides = {name: Variant(name, side.expect, side.expects, side.origin,
                                      list(side.overrides)) for name, side in self._sides.items()}
        return other

    # -- the actors --------------------------------------------------------------

    def actor(self, cpu: int) -> Callable[[F], F]:
        """Decorator: the function runs once per trial, in a task of its name on that CPU."""
        check_int("cpu", cpu, 0, self.cpus - 1, f"one of the CPUs of race {self.name}")

        def put(function: F) -> F:
            self.actors.append(self._new_task("actor", cpu, function))
            return function
        return put

    def kthread(self, function: F) -> F:
        """Decorator: the function is what a kernel thread runs that ``t.kthread()`` starts.

        It may open windows and see witnesses, as an actor may.
        """
        self.kthreads.append(self._new_task("kthread", -1, function))
        return function

    def _new_task(self, what: str, cpu: int, function: Any) -> Actor:
        check_step(self.name, what, function)
        if self._task_named(function.__name__):
            raise UsageError(f"race {self.name}: two actors or kthreads named {function.__name__}")
        return Actor(function.__name__[:native.COMM_LEN - 1], cpu, function)

    def setup(self, function: F) -> F:
        """Decorator: the function runs in the referee once per machine."""
        return self._add_step("setup", self.setups, function)

    def prepare(self, function: F) -> F:
        """Decorator: the function runs in the referee before each trial."""
        return self._add_step("prepare", self.prepares, function)

    def conclude(self, function: F) -> F:
        """Decorator: the function runs in the referee after each trial that found nothing."""
        return self._add_step("conclude", self.concludes, function)

    def _add_step(self, what: str, steps: list[Step], function: F) -> F:
        check_step(self.name, what, function)
        steps.append(function)
        return function

    # -- what a hit is, and what makes a trial count --------------------------------

    def invariant(self, at: str = "quiescence") -> Callable[[F], F]:
        """Decorator: the function asserts what a trial that hits breaks.

        It runs when no task but the referee can run: each actor has ended, or sleeps.
        """
        if at != "quiescence":
            raise UsageError(f"race {self.name}: invariant(at={shown(at)}): only 'quiescence'; "
                             "write @race.invariant() with its parentheses")
        return lambda function: self._add_step("invariant", self.invariants, function)

    def postcondition(self, function: F) -> F:
        """Decorator: the function asserts what an operation promised, on every side.

        It runs after each trial in which all actors ended.  A broken promise fails a side that
        is expected to be clean.  On a side that is expected to hit it is not the hit.
        """
        return self._add_step("postcondition", self.postconditions, function)

    def asleep(self, who: Step | str) -> None:
        """The hit is that this actor's sleep never ends."""
        name = self._actor_name(who)
        self.sleepers.append(name)

    def witness(self, name: str, meaning: str, *, sides: Iterable[str] = ()) -> None:
        """A trial counts if ``t.witness(name)`` was called in it; so with each declared witness.

        ``meaning``: the dangerous state in words, for the table.  ``sides``: the
        only sides where a trial needs it.
        """
        if not isinstance(name, str) or not name or not isinstance(meaning, str) or not meaning:
            raise UsageError(f"race {self.name}: witness({shown(name)}, {shown(meaning)}): a name, "
                             "and what a trial has shown when it is called")
        if any(other.name == name for other in self.witnesses):
            raise UsageError(f"race {self.name}: two witnesses named {name!r}")
        if len(self.witnesses) == MAX_WITNESSES:
            raise UsageError(f"race {self.name}: more than {MAX_WITNESSES} witnesses")
        self.witnesses.append(Witness(name, meaning, self._names_of_sides(sides)))

    def witnesses_of(self, side: str) -> list[Witness]:
        """The witnesses that a trial of that side needs."""
        return [one for one in self.witnesses if not one.sides or side in one.sides]

    def takes_turns(self, why: str) -> None:
        """Count trials in which two tasks of one process ran at once and took turns at its interpreter.

        By default such a trial counts only if it is forced, because its tasks did not run in
        parallel.  First try to give each task a home of its own: kthread_create_on_node(home=).
        ``why``: the reason, for the table.  Raises UsageError if it is not a text.
        """
        if not isinstance(why, str) or not why:
            raise refuse("why", why, f"for race {self.name}, why its tasks must take turns")
        self.turns_allowed = why

    # -- the script ----------------------------------------------------------------

    def force(self, hold: Step | str, at: str | Operation, until: tuple[Step | str, str | Operation],
              kind: str = "stall", *, nth: int = 1, trial: int | None = None,
              sides: Iterable[str] = (), early: bool = False) -> None:
        """A script's step: ``hold`` waits at a place until another task comes to one.

        Tasks are actors, or names.  A place is the name of a point, or ``kemu.before(...)``: an
        operation on a word, which needs no point in the code.  Every actor passes "start" and
        "done".  kind: "stall", its CPU stands still; "preemptible", its CPU may run others, and the
        place is a point; "locked", a stall that may come with a spinlock held.  nth: at which pass
        of the point, from 1.  trial: only in that trial of each machine, from 1.  sides: only on
        these.  If both are actors, the other actor starts only when this one is held.

        A trial counts only if the task was held.  The hold ends, too, when another task comes to
        wait for the held one, or when nothing else can run.  The task is not held if ``until``
        was passed before; such a trial counts if ``at`` is "start", or with early=True.  A point
        is any kemu.point(name) of the race's own, or one that the kernel passes (they show in a
        trace, and in ``grep 'point("' kemu/kernel``).
        """
        if kind not in KINDS:
            raise UsageError(f"force(kind={shown(kind)}): one of {', '.join(KINDS)}")
        if not isinstance(until, tuple) or len(until) != 2 \
                or not isinstance(until[1], str | Operation) or not isinstance(at, str | Operation):
            raise UsageError(f"race {self.name}: force(at={shown(at)}, until={shown(until)}): "
                             "at= is a point's name or kemu.before(...), until= a task and one of these")
        if isinstance(at, Operation) and (kind == "preemptible" or nth != 1):
            raise UsageError(f"race {self.name}: force(at={at!r}, kind={kind!r}, nth={nth}): before an "
                             "operation a task can only stall, and kemu.before() takes nth=")
        check_int("nth", nth, 1, 1 << 30, "the number of a pass of the point")
        if trial is not None:
            check_int("trial", trial, 1, 1 << 30, "the number of a trial of a machine")
        holder, waited = self._task_name(hold), self._task_name(until[0])
        step = Hold(holder, at, waited, until[1], KINDS[kind], nth, trial,
                    self._names_of_sides(sides), early, line=caller_line())
        self._add_hold(step)
        if callable(hold) and callable(until[0]) and holder != waited and at != START \
                and not self._starts_after(holder, waited, step):
            # Otherwise the other actor might end before this one gets to its place.
            self._add_hold(replace(step, who=waited, at=START, until_who=holder, until=at, nth=1,
                                   kind=native.HOLD_PREEMPTIBLE, implied=True))

    def _starts_after(self, one: str, other: str, step: Hold) -> bool:
        """Whether the script has one actor start after the other has begun: the reverse is a circle."""
        return any((hold.who, hold.at, hold.until_who, hold.trial, hold.sides)
                   == (one, START, other, step.trial, step.sides) for hold in self.holds)

    def is_held_at_operations(self, side: str) -> bool:
        """Whether the side's script holds tasks at their start and before operations only."""
        holds = [hold for hold in self.holds if not hold.sides or side in hold.sides]
        return bool(holds) and all(hold.at == START or isinstance(hold.at, Operation) for hold in holds)

    def without_script(self) -> Self:
        """The same race with no step of a script, to which another script can be declared."""
        other = self.copy()
        other.holds = []
        return other

    def _add_hold(self, hold: Hold) -> None:
        """A task is held once at a pass of a point: the first hold that is declared counts."""
        if any((other.who, other.at, other.nth, other.trial, other.sides)
               == (hold.who, hold.at, hold.nth, hold.trial, hold.sides) for other in self.holds):
            return
        if len(self.holds) == native.MAX_HOLDS:
            raise UsageError(f"race {self.name}: more than {native.MAX_HOLDS} holds")
        self.holds.append(hold)

    def _names_of_sides(self, sides: Iterable[str]) -> tuple[str, ...]:
        names = (sides,) if isinstance(sides, str) else tuple(sides)
        return tuple(self.side(name).name for name in names)

    def _task_name(self, who: Step | str) -> str:
        if isinstance(who, str):
            return who
        if not self._task_named(getattr(who, "__name__", "")):
            raise UsageError(f"race {self.name}: {shown(who)} is not an actor of it; there are "
                             + ", ".join(actor.name for actor in self.actors))
        return who.__name__[:native.COMM_LEN - 1]

    def _actor_name(self, who: Step | str) -> str:
        name = self._task_name(who)
        names = [actor.name for actor in self.actors]
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            raise UsageError(f"race {self.name}: {name!r} is not an actor of it"
                             + (f"; did you mean {close[0]!r}?" if close else ""))
        return name

    def _task_named(self, name: str) -> bool:
        return any(one.name == name[:native.COMM_LEN - 1] for one in [*self.actors, *self.kthreads])

    # -- as a whole ------------------------------------------------------------------

    @property
    def file(self) -> str:
        """The file that has its first actor."""
        return self.actors[0].function.__code__.co_filename if self.actors else ""

    def steps(self) -> list[FunctionType]:
        """Every function that the race consists of."""
        replacements = [o.replacement for side in self._sides.values() for o in side.overrides]
        steps = [*(a.function for a in [*self.actors, *self.kthreads]), *replacements,
                 *self.invariants, *self.postconditions, *self.setups, *self.prepares,
                 *self.concludes]
        return cast(list[FunctionType], steps)      # check_step() has looked

    def code_hash(self) -> str:
        """A hash of the race's own steps and script: two results with the same hash ran the same code."""
        digest = hashlib.sha256()
        for step in self.steps():
            digest.update(text_of_code(step.__code__).encode())
        digest.update(repr((self.holds, self.witnesses, self.sleepers)).encode())
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Raise UsageError if the race cannot be run."""
        if not self.actors:
            raise UsageError(f"race {self.name} has no actor")
        if not any(side.overrides for side in self._sides.values()):
            raise UsageError(f"race {self.name} has no before(): nothing to compare with")

    def __repr__(self) -> str:
        return f"<race {self.name}: {', '.join(self.sides)}>"
