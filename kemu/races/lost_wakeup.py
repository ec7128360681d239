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
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.races.given_work import CPU, Reactor, note_that_it_waited, race_of_a_sleeper, waker


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


def sleeper(t: Trial) -> None:
    with t.window():
        wait_for_work(Reactor.on(CPU))
    note_that_it_waited()


race = race_of_a_sleeper(
    "lost-wakeup", sleeper,
    origin="a pattern: the condition is tested before the state is set",
    title="test the condition, then set the state: the wake-up in between is lost",
    labels={"looked": "no work", "sched_switch[sleeper out]": "T sleeps, with work to do",
            "given": "work = 1", "done[waker]": "wake_up_process(T): awake still"},
    budget="jitter: a hit within 5 s")


@race.before(wait_for_work)
def wait_for_work_looking_first(reactor: Reactor) -> None:
    """Look, then set the state."""
    while not reactor.work.load():
        reactor.looked.store(1)
        kemu.point("looked")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()


race.force(hold=sleeper, at="looked", until=(waker, "done"))
