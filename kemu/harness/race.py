"""Race: a public object that says what races with what, and how to tell.

    race = Race("reactor-lost-wakeup", cpus=2)

    @race.before(park)              the function as it was before the fix
    @race.actor(cpu=1)              what runs on a CPU, once per trial
    @race.prepare                   in the referee, before each trial
    @race.invariant()               what must hold when a trial is over
    race.force(hold=..., at=..., until=...)

See the README for a whole one.  A race object runs nothing itself: runner boots
machines for it, and trial is what runs in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

from kemu import native
from kemu.errors import UsageError, refuse
from kemu.kernel.own.version import DEFAULT, version_number
from kemu.machine.arguments import check_int
from kemu.machine.override import Override, make_override

if TYPE_CHECKING:
    from kemu.harness.trial import Trial

F = TypeVar("F", bound=Callable[..., Any])
Step = Callable[["Trial"], Any]

START, DONE = "start", "done"       # points that every actor passes

KINDS = {"stall": native.HOLD_STALL, "preemptible": native.HOLD_PREEMPTIBLE,
         "locked": native.HOLD_LOCKED}


@dataclass(frozen=True)
class Actor:
    """A task that runs a function once per trial."""

    name: str
    cpu: int
    function: Step


@dataclass(frozen=True)
class Hold:
    """A task waits at a point until another passes one."""

    who: str
    at: str
    until_who: str
    until: str
    kind: int


def _check_placement(name: str, cpus: int, placement: object) -> None:
    if isinstance(placement, str | bytes) or not isinstance(placement, Sequence) \
            or not all(isinstance(core, int) for core in placement):
        raise refuse("placement", placement, f"for race {name}, a list with the number of a core "
                     "for each CPU")
    if len(placement) != cpus:
        raise UsageError(f"race {name}: placement is for {len(placement)} CPUs, not {cpus}")


def _text_of_code(code: CodeType) -> str:
    """All that a function does, in words that are the same in every run."""
    consts = [_text_of_code(const) if isinstance(const, CodeType)
              else repr(sorted(map(repr, const))) if isinstance(const, frozenset)
              else repr(const) for const in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, consts))


class Race:
    """A race: sides, actors, and how a hit is told.

    ``cpus``: how many it needs.  ``placement``: for each, which of the usable host
    cores, by number from 0; taken modulo their count.  ``expects``: a part of the
    panic text that is a hit; any panic of the after side is.  ``names``: what
    tasks are called in diagrams.  ``labels``: what events and points are called
    there; only labelled ones are drawn.
    """

    def __init__(self, name: str, *, cpus: int, placement: Sequence[int] | None = None,
                 title: str = "", fix: str = "", expects: str = "",
                 names: dict[str, str] | None = None, labels: dict[str, str] | None = None,
                 budget: str = "", mutation: bool = False, kernel: str = DEFAULT) -> None:
        check_int("cpus", cpus, 1, native.MAX_CPUS, f"for race {name}, a number of CPUs")
        if placement is not None:
            _check_placement(name, cpus, placement)
        version_number(kernel)
        self.name = name
        self.cpus = cpus
        self.placement = placement
        self.title = title
        self.fix = fix
        self.expects = expects
        self.names = names or {}
        self.labels = labels or {}
        self.budget = budget
        self.mutation = mutation
        self.kernel = kernel
        self.actors: list[Actor] = []
        self.overrides: list[tuple[Override, Callable[..., Any]]] = []
        self.invariants: list[Step] = []
        self.holds: list[Hold] = []
        self.setups: list[Step] = []
        self.prepares: list[Step] = []
        self.concludes: list[Step] = []

    def before(self, target: Callable[..., Any]) -> Callable[[F], F]:
        """Decorator: this function stood in target's place before the fix.

        It takes the same parameters.  Raises UsageError if it does not.
        """
        def put(function: F) -> F:
            self.overrides.append((make_override(target, function), target))
            return function
        return put

    def actor(self, cpu: int) -> Callable[[F], F]:
        """Decorator: the function runs once per trial, in a task of its name on that CPU."""
        check_int("cpu", cpu, 0, self.cpus - 1, f"one of the CPUs of race {self.name}")

        def put(function: F) -> F:
            if self._actor_named(function.__name__):
                raise UsageError(f"race {self.name}: two actors named {function.__name__}")
            self.actors.append(Actor(function.__name__[:native.COMM_LEN - 1], cpu, function))
            return function
        return put

    def invariant(self, at: str = "quiescence") -> Callable[[F], F]:
        """Decorator: the function asserts what must hold when a trial is over.

        That is, when no task but the referee can run: each actor has ended, or sleeps.
        """
        if at != "quiescence":
            raise UsageError(f"invariant(at={at!r}): only 'quiescence'")

        def put(function: F) -> F:
            self.invariants.append(function)
            return function
        return put

    def setup(self, function: F) -> F:
        """Decorator: the function runs in the referee once per machine."""
        self.setups.append(function)
        return function

    def prepare(self, function: F) -> F:
        """Decorator: the function runs in the referee before each trial."""
        self.prepares.append(function)
        return function

    def conclude(self, function: F) -> F:
        """Decorator: the function runs in the referee after each trial that was no hit."""
        self.concludes.append(function)
        return function

    def force(self, hold: Step | str, at: str, until: tuple[Step | str, str],
              kind: str = "stall") -> None:
        """A script's step: ``hold`` waits at a point until another task passes one.

        Tasks are actors, or names.  Every actor passes "start" and "done".  kind:
        "stall", its CPU stands still; "preemptible", its CPU may run others;
        "locked", a stall that may come with a spinlock held.  If both are actors, the
        other one starts only when this one is held.

        Both sides of the race must pass ``at``: one that never does is UNKNOWN.  The hold
        ends, too, when another task comes to wait for the held one, or when nothing else can
        run; and there is none if ``until`` was passed before.  A point is any kemu.point(name)
        of the race's own, or one that the kernel passes (they show in a trace, and in
        ``grep 'point("' kemu/kernel``).
        """
        if kind not in KINDS:
            raise UsageError(f"force(kind={kind!r}): one of {', '.join(KINDS)}")
        holder, waited = self._task_name(hold), self._task_name(until[0])
        self._add_hold(Hold(holder, at, waited, until[1], KINDS[kind]))
        if callable(hold) and callable(until[0]) and holder != waited and at != START:
            # Or the other might be through before this one gets there.
            self._add_hold(Hold(waited, START, holder, at, native.HOLD_PREEMPTIBLE))

    def _add_hold(self, hold: Hold) -> None:
        """A task is held once at a point: the first that is said of it counts."""
        if any((other.who, other.at) == (hold.who, hold.at) for other in self.holds):
            return
        if len(self.holds) == native.MAX_HOLDS:
            raise UsageError(f"race {self.name}: more than {native.MAX_HOLDS} holds")
        self.holds.append(hold)

    def _task_name(self, who: Step | str) -> str:
        if isinstance(who, str):
            return who
        if not self._actor_named(who.__name__):
            raise UsageError(f"race {self.name}: {who.__name__} is no actor of it")
        return who.__name__[:native.COMM_LEN - 1]

    def _actor_named(self, name: str) -> bool:
        return any(actor.name == name[:native.COMM_LEN - 1] for actor in self.actors)

    @property
    def file(self) -> str:
        """Where its first actor is written."""
        return self.actors[0].function.__code__.co_filename if self.actors else ""

    def code_hash(self) -> str:
        """Of the race's own steps and script: two results with the same hash ran the same ones."""
        digest = hashlib.sha256()
        steps = [*(a.function for a in self.actors), *(o.replacement for o, _ in self.overrides),
                 *self.invariants, *self.setups, *self.prepares, *self.concludes]
        for step in steps:
            digest.update(_text_of_code(step.__code__).encode())
        digest.update(repr(self.holds).encode())
        return digest.hexdigest()[:16]

    def check(self) -> None:
        """Raises UsageError if the race cannot be run."""
        if not self.actors:
            raise UsageError(f"race {self.name} has no actor")
        if not self.overrides:
            raise UsageError(f"race {self.name} has no before(): nothing to compare with")

    def __repr__(self) -> str:
        return f"<race {self.name}>"
