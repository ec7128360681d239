"""A workload: a function that does one kind of thing until it is asked to stop.

Linux: the test kthreads of kernel/torture.c, and stutter_wait().

Each worker is a task of its own, on whatever CPU it is pushed to.

    Control.stop     <- 1 at the end of the run: by the controller's request
    Control.paused   <- 1 while the run stutters: likewise; workers sleep meanwhile
    Control.downs    <- +1 (full barrier) before and after a CPU is taken down: by onoff; odd meanwhile
    Worker.rounds    <- +1 for each round that its task has done: by the task
    Worker.task      <- the task: by itself, as it begins and after each exec

Locks: none.  Callers: run; workloads, also a user's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from kemu.errors import UsageError
from kemu.kernel import sched
from kemu.kernel.own.version import VERSIONS
from kemu.memory.struct import PerCPU, Struct, TaskRef, Word

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__kemu_torture__"
STUTTER_JIFFIES = 2


class Control(PerCPU, keep=True):
    """Of CPU 0: what all workers look at."""

    stop: Final = Word()
    paused: Final = Word()
    downs: Final = Word()


class Worker(Struct):
    """One worker's own."""

    task: Final = TaskRef()
    rounds: Final = Word()


class Turn:
    """What a workload's function is called with.  ``draw`` is its seeded random.Random."""

    def __init__(self, worker: Worker, seed: int) -> None:
        self.worker = worker
        self.seed = seed
        self.draw: random.Random = random.Random(seed)
        self._control = Control.on(0)

    def going(self) -> bool:
        """Whether to do another round.  Sleeps while the run stutters."""
        while self._control.paused.load() and not self._control.stop.load():
            sched.schedule_timeout_uninterruptible(STUTTER_JIFFIES)
        return not self._control.stop.load()

    def downs(self) -> int | None:
        """How many CPUs were taken down so far; None while one is going down."""
        count: int = self._control.downs.load()
        return None if count % 2 else count

    def did(self) -> None:
        """A round is done: it counts, and shows that the worker lives."""
        self.worker.rounds.add(1)


@dataclass(frozen=True)
class Workload:
    """A named workload: what it does, under which kernels, and how many workers it is given."""

    name: str
    what: str
    function: Callable[[Turn], Any]
    kernels: tuple[str, ...] = tuple(VERSIONS)


def workload(function: F) -> F:
    """Decorator: ``kemu torture FILE`` runs the function as a workload of the function's name."""
    what = (function.__doc__ or "").strip().splitlines()
    setattr(function, MARK, Workload(function.__name__, what[0] if what else "", function))
    return function


def invariant(function: F) -> F:
    """Decorator: ``kemu torture FILE`` calls the function at each audit; it asserts what must hold.

    It runs as a task, beside the workloads, and takes no argument.
    """
    setattr(function, MARK, None)
    return function


def workloads_in(things: Iterable[object]) -> list[Workload]:
    """Those among a module's things that are marked as workloads."""
    return [getattr(thing, MARK) for thing in things if getattr(thing, MARK, None) is not None]


def invariants_in(things: Iterable[object]) -> list[Callable[[], Any]]:
    """Those among a module's things that are marked as invariants."""
    return [thing for thing in things
            if callable(thing) and MARK in getattr(thing, "__dict__", {}) and getattr(thing, MARK) is None]


def check_invariants(invariants: list[Callable[[], Any]]) -> list[str]:
    """What the invariants that do not hold say.  Runs as a task."""
    broken = []
    for check in invariants:
        try:
            said = check()
        except AssertionError as error:
            broken.append(f"{check.__name__}: {error or 'does not hold'}")
            continue
        if said is not None:
            raise UsageError(f"the invariant {check.__name__} returned {said!r:.60}: it asserts what "
                             "must hold, and returns nothing")
    return broken


def worker_main(function: Callable[[Turn], Any], worker: Worker, seed: int) -> None:
    """What a worker's task runs."""
    me = sched.current()
    me.set_comm(function.__name__.lstrip("_"))
    worker.task.set(me)
    function(Turn(worker, seed))
