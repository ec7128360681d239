"""lost-wakeup: a task tests its condition first, and sets its state second.

Before: a pattern, and no commit.  Every race here that loses a wake-up has it at its heart.

    CPU1 (T)                    CPU0 (waker)
    no work
                                work = 1
                                wake_up_process(T): T runs, so there is nothing to do
    state = INTERRUPTIBLE
    schedule()                  T sleeps for ever, with work to do

After, T sets its state first (Linux: set_current_state()).  Then either T sees the work, or the
waker sees that T is about to sleep.
"""

from __future__ import annotations

import kemu
from kemu.kernel import sched
from kemu.harness.trial import Trial

race = kemu.Race(
    "lost-wakeup", cpus=2,
    origin="a pattern: the condition is tested before the state is set",
    title="test the condition, then set the state: the wake-up in between is lost",
    names={"sleeper": "T"},
    labels={"looked": "no work", "sched_switch[sleeper out]": "T sleeps, with work to do",
            "given": "work = 1", "done[waker]": "wake_up_process(T): awake still"},
    budget="jitter: a hit within 5 s")
race.witness("given-in-between", "work was given when T had looked, and did not sleep yet")


class Reactor(kemu.PerCPU):
    """What the two share."""

    work = kemu.Word()
    looked = kemu.Word()        # T has found no work, and has not been woken since
    served = kemu.Word()        # there was work when T had waited for it
    state = kemu.Word()         # of T, when it had waited


def wait_for_work(reactor: Reactor) -> None:
    """Set the state, then look."""
    while True:
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if reactor.work.load():
            break
        reactor.looked.store(1)
        kemu.point("looked")
        sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)


@race.before(wait_for_work)
def wait_for_work_looking_first(reactor: Reactor) -> None:
    """Look, then set the state."""
    while not reactor.work.load():
        reactor.looked.store(1)
        kemu.point("looked")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()


@race.actor(cpu=1)
def sleeper(t: Trial) -> None:
    with t.window():
        wait_for_work(Reactor.on(1))
    Reactor.on(1).state.store(sched.current().state.load())
    Reactor.on(1).served.store(Reactor.on(1).work.load())


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    reactor, task = Reactor.on(1), t.task(sleeper)
    with t.window():
        reactor.work.store(1)
        if reactor.looked.load() and task.on_cpu.load():
            t.witness("given-in-between")
        kemu.point("given")
        sched.wake_up_process(task)


@race.invariant(at="quiescence")
def nobody_sleeps_with_work(t: Trial) -> None:
    """A task that has work does not sleep."""
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(1).work.load() and asleep), "the sleeper sleeps, and has work"


@race.postcondition
def waits_until_there_is_work(t: Trial) -> None:
    """The wait returns when there is work, and not before; T does not go on as one that is to sleep."""
    assert Reactor.on(1).served.load(), "the sleeper went on without work"
    assert Reactor.on(1).state.load() == sched.TASK_RUNNING, "the sleeper went on, and is not RUNNING"


race.force(hold=sleeper, at="looked", until=(waker, "done"))
