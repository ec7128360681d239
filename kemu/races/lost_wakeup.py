"""lost-wakeup: test the condition, then set the state.

    CPU1 (sleeper)              CPU0 (waker)
    no work?  right
                                work = 1
                                wake_up_process(sleeper): it runs, nothing to do
    state = INTERRUPTIBLE
    schedule()                  ... and sleeps for ever, with work to do

The fix is as old as sleeping: announce, then look (Linux: set_current_state()).
No kernel commit; the pattern that every one of them is about.
"""

from __future__ import annotations

import kemu
from kemu.kernel import sched
from kemu.harness.trial import Trial

race = kemu.Race(
    "lost-wakeup", cpus=2,
    title="test the condition, then set the state: the wake-up in between is lost",
    names={"sleeper": "T"},
    labels={"looked": "no work", "sched_switch[sleeper out]": "T sleeps, with work to do",
            "given": "work = 1", "done[waker]": "wake_up_process(T): awake still"},
    budget="jitter: a hit within 5 s")


class Reactor(kemu.PerCPU):
    """What the two share."""

    work = kemu.Word()


def wait_for_work(reactor: Reactor) -> None:
    """Announce, then look."""
    while True:
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if reactor.work.load():
            break
        kemu.point("looked")
        sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)


@race.before(wait_for_work)
def wait_for_work_looking_first(reactor: Reactor) -> None:
    """Look, then announce."""
    while not reactor.work.load():
        kemu.point("looked")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()


@race.actor(cpu=1)
def sleeper(t: Trial) -> None:
    with t.window():
        wait_for_work(Reactor.on(1))


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    with t.window():
        Reactor.on(1).work.store(1)
        kemu.point("given")
        sched.wake_up_process(t.task(sleeper))


@race.invariant(at="quiescence")
def nobody_sleeps_with_work(t: Trial) -> None:
    """A task that has work does not sleep."""
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(1).work.load() and asleep), "the sleeper sleeps, and has work"


race.force(hold=sleeper, at="looked", until=(waker, "done"))
