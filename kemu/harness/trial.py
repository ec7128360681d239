"""Trial: what an actor's function, or a step of the referee, is called with.

A trial:

    referee    clears the user's per-CPU variables, runs prepare, arms the holds,
               lets the actors go, and sleeps
    actors     meet at a barrier, run their functions
    the last CPU to go idle wakes the referee (kernel/own/quiesce.py)
    referee    asserts the invariants, runs conclude

So a trial is over when nothing but the referee can run.  What the actors set going has come to
its end too, and a trial that loses a wake-up ends at once, without a time-out.

    TrialWords.number   <- the trial's number: by the referee
    TrialWords.arrived  <- actors at the barrier: by each, fetch and add
    TrialWords.started  <- the number of barriers passed: by the last actor to arrive
    TrialWords.done     <- a bit for each actor whose function has returned in this trial
    TrialWords.returned <- a bit for each kthread whose function has returned
    TrialWords.inside   <- a bit for each task in its window
    TrialWords.met      <- 1 once two tasks were inside together
    TrialWords.seen     <- a bit for each witness: by the task that saw it
    TrialWords.turns    <- how often tasks had taken turns when the trial began: by the referee

Linux: none; kemu's own.
Locks: none.  Callers: race files; referee and tally.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from kemu.errors import UsageError, shown
from kemu.harness.declared import Actor
from kemu.harness.race import DONE, START, Race
from kemu.kernel.kthread import kthread_bind, kthread_create_on_node
from kemu.kernel.own.point import point
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.machine import programme
from kemu.memory.struct import Embedded, PerCPU, Struct, TaskRef, Word
from kemu.memory.views import Task


class TrialWords(PerCPU, keep=True):
    """The words of the trial that runs.  Only CPU 0's copy is used."""

    number: Final = Word()
    arrived: Final = Word()
    started: Final = Word()
    done: Final = Word()
    returned: Final = Word()
    windows: Final = Word()
    inside: Final = Word()
    met: Final = Word()
    seen: Final = Word()
    turns: Final = Word()
    over: Final = Embedded(Completion)


class ActorState(Struct):
    """What an actor, or a kthread of the race, shares with the referee."""

    go: Final = Embedded(Completion)
    task: Final = TaskRef()


def load_race() -> Race:
    """The race that the machine was booted with.  Called in a CPU process."""
    return cast(Race, programme.carried())


class Trial:
    """The trial that runs, as one task sees it."""

    def __init__(self, race: Race, states: list[ActorState], index: int = -1) -> None:
        self.race = race
        self._states = states
        self._index = index
        self._words = TrialWords.on(0)

    @property
    def number(self) -> int:
        """Which trial of its machine this is, from 1."""
        return self._words.number.load()

    def task(self, who: Callable[..., Any] | str) -> Task:
        """The task of an actor, or of a kthread that was started.  Raises UsageError."""
        task = self._states[self._index_of(who)].task.get()
        if task is None:
            raise UsageError(f"race {self.race.name}: {self._name(who)} has not been started: "
                             "t.kthread() starts it")
        return cast(Task, task)

    def done(self, who: Callable[..., Any] | str) -> bool:
        """Whether the function of an actor has returned in this trial; of a kthread, ever."""
        index = self._index_of(who)
        mask = self._words.done if index < len(self.race.actors) else self._words.returned
        return bool(mask.load() >> index & 1)

    def kthread(self, function: Callable[..., Any], cpu: int | None = None) -> Task:
        """Start a kernel thread that runs a function declared with @race.kthread.  May sleep.

        cpu: bind it there.  Returns its task.  It runs until its function returns.
        """
        index = self._index_of(function)
        if index < len(self.race.actors):
            raise UsageError(f"race {self.race.name}: {self._name(function)} is an actor, which "
                             "runs by itself in each trial")
        name = self._name(function).replace("%", "%%")
        task = kthread_create_on_node(_kthread_main, (index, self._states), 0, name)
        self._words.returned.fetch_and(~(1 << index))
        self._states[index].task.set(task)
        if cpu is not None:
            kthread_bind(task, cpu)
        wake_up_process(task)
        return task

    def witness(self, name: str) -> None:
        """The trial has shown what the witness of that name stands for.  Any context.

        Raises UsageError if the race does not declare it.
        """
        for number, witness in enumerate(self.race.witnesses):
            if witness.name == name:
                if not self._words.seen.load() >> number & 1:
                    self._words.seen.fetch_or(1 << number)
                return
        names = [witness.name for witness in self.race.witnesses]
        close = difflib.get_close_matches(str(name), names, 1)
        raise UsageError(f"race {self.race.name} declares no witness {shown(name)}"
                         + (f"; did you mean {close[0]!r}?" if close else
                            f": say race.witness({name!r}, ...) in its file"))

    @contextmanager
    def window(self) -> Iterator[None]:
        """The part of the function that races.

        In a race that declares no witness, a trial counts if two tasks were in theirs together.
        """
        if self._index < 0:
            raise UsageError(f"race {self.race.name}: only actors and kthreads have windows; this "
                             "step runs in the referee, alone")
        words, mine = self._words, 1 << self._index
        words.windows.fetch_or(mine)
        if words.inside.fetch_or(mine) & ~mine:
            words.met.store(1)
        try:
            yield
        finally:
            words.inside.fetch_and(~mine)

    def _index_of(self, who: Callable[..., Any] | str) -> int:
        name = self._name(who)
        tasks = [*self.race.actors, *self.race.kthreads]
        for index, one in enumerate(tasks):
            if one.name == name:
                return index
        raise UsageError(f"race {self.race.name}: {shown(who)} is not an actor or a kthread of it; "
                         f"there are {', '.join(one.name for one in tasks)}")

    @staticmethod
    def _name(who: Callable[..., Any] | str) -> str:
        return (who if isinstance(who, str) else str(getattr(who, "__name__", "")))[:15]


def witness(name: str) -> None:
    """``t.witness(name)`` for code that has no trial at hand: an override, a kernel thread.

    Any context.  Raises UsageError if the machine runs no race, or the race declares no such
    witness.
    """
    if programme.carried() is None:
        raise UsageError(f"witness({shown(name)}): this machine runs no race")
    Trial(load_race(), []).witness(name)


def actor_main(data: tuple[int, list[ActorState]]) -> int:
    """The function of an actor's kthread: run the actor once in each trial, without end."""
    index, states = data
    trial = Trial(load_race(), states, index)
    function, words = trial.race.actors[index].function, TrialWords.on(0)
    complete(words.over)         # loaded, and ready
    while True:
        wait_for_completion(states[index].go)
        _meet(words, len(trial.race.actors))
        point(START)
        function(trial)
        point(DONE)
        words.done.fetch_or(1 << index)


def _kthread_main(data: tuple[int, list[ActorState]]) -> int:
    """Run the function of a kthread of the race, once."""
    index, states = data
    race = load_race()
    function = race.kthreads[index - len(race.actors)].function
    function(Trial(race, states, index))
    TrialWords.on(0).returned.fetch_or(1 << index)
    return 0


def _meet(words: TrialWords, actors: int) -> None:
    """The barrier: all actors go on when the last has come."""
    started = words.started.load()
    if words.arrived.add(1) == actors:
        words.arrived.store(0)
        words.started.store_release(started + 1)
    else:
        words.started.wait_while(started)


def start_actor(index: int, actor: Actor, states: list[ActorState]) -> Task:
    """Create an actor's kthread on its CPU, not yet woken.  In the referee; may sleep."""
    task = kthread_create_on_node(actor_main, (index, states), 0,
                                  actor.name.replace("%", "%%"), home=actor.cpu)
    states[index].task.set(task)
    return task
