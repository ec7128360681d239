"""A task that waits for work, and a waker that gives it: the stage of two races.

Each race has its own sleeper.  T is the sleeper's task, on CPU1:

    Reactor.work    <- 1: by the waker
    Reactor.looked  <- 1: by T, when it has found no work
    Reactor.served  <- whether there was work, and Reactor.state <- the state of T: by T, when it has waited
"""

from __future__ import annotations

from typing import Any

import kemu
from kemu.harness.declared import Step
from kemu.harness.race import Race
from kemu.harness.trial import Trial
from kemu.kernel import sched

CPU = 1


class Reactor(kemu.PerCPU):
    """What the two share."""

    work = kemu.Word()
    looked = kemu.Word()
    served = kemu.Word()
    state = kemu.Word()


def note_that_it_waited() -> None:
    """T has waited for work."""
    reactor = Reactor.on(CPU)
    reactor.state.store(sched.current().state.load())
    reactor.served.store(reactor.work.load())


def waker(t: Trial) -> None:
    reactor, task = Reactor.on(CPU), t.task("sleeper")
    with t.window():
        reactor.work.store(1)
        if reactor.looked.load() and task.on_cpu.load():
            t.witness("given-in-between")
        kemu.point("given")
        sched.wake_up_process(task)


def nobody_sleeps_with_work(t: Trial) -> None:
    """A task that has work does not sleep."""
    asleep = t.task("sleeper").state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(CPU).work.load() and asleep), "the sleeper sleeps, and has work"


def waits_until_there_is_work(t: Trial) -> None:
    """The wait returns when there is work, and not before; T does not go on as one that is to sleep."""
    reactor = Reactor.on(CPU)
    assert reactor.served.load(), "the sleeper went on without work"
    assert reactor.state.load() == sched.TASK_RUNNING, "the sleeper went on, and is not RUNNING"


def race_of_a_sleeper(name: str, sleeper: Step, **options: Any) -> Race:
    """A race on this stage.  Its file adds what the fix replaced."""
    race = Race(name, cpus=2, names={"sleeper": "T"}, **options)
    race.witness("given-in-between", "work was given when T had looked, and did not sleep yet")
    race.actor(cpu=CPU)(sleeper)
    race.actor(cpu=0)(waker)
    race.invariant(at="quiescence")(nobody_sleeps_with_work)
    race.postcondition(waits_until_there_is_work)
    return race
