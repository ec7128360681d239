"""A race of your own, to begin with: it runs as it is.

    kemu race FILE                  both sides, steered by the script at the end of this file
    kemu race FILE --how jitter     both sides, with random delays instead of the script
    pytest FILE                     the test at the end of this file

The story: a consumer sleeps until there is a letter.  As shipped, it looks into the mailbox, finds
no letter, and then announces that it sleeps.  If the letter comes in between, the wake-up finds
the consumer awake and does nothing, and the consumer sleeps though it has a letter.  The fix
announces first and looks then.
"""

from __future__ import annotations

from typing import Any

import kemu
from kemu.kernel import sched


class Mailbox(kemu.PerCPU):
    """Memory that all CPUs share, one for each CPU.  It is zeroed before each trial."""

    letters = kemu.Word()


race = kemu.Race("my-race", cpus=2, title="a letter that comes while the consumer goes to sleep")


def receive(mailbox: Any) -> None:
    """The fixed function: announce that this task sleeps, then look."""
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    if not mailbox.letters.load():
        kemu.point("receive:empty")     # here a script or a random delay can hold the task
        sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)


@race.before(receive)
def receive_as_shipped(mailbox: Any) -> None:
    """What stood in the place of receive() before the fix: look, then announce."""
    if not mailbox.letters.load():
        kemu.point("receive:empty")
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()


@race.actor(cpu=1)
def consumer(t: kemu.Trial) -> None:
    """A task on CPU 1 that runs this function once in each trial."""
    with t.window():        # a trial counts if all actors were in their windows together
        receive(Mailbox.on(1))


@race.actor(cpu=0)
def producer(t: kemu.Trial) -> None:
    """A task on CPU 0: puts a letter into the mailbox and wakes the consumer."""
    with t.window():
        Mailbox.on(1).letters.store(1)
        sched.wake_up_process(t.task(consumer))


@race.invariant()
def nobody_sleeps_with_a_letter(t: kemu.Trial) -> None:
    """What must hold when a trial is over: every task has ended or sleeps."""
    asleep = t.task(consumer).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (asleep and Mailbox.on(1).letters.load()), "the consumer sleeps, and has a letter"


# The script: hold the consumer where it has seen no letter, until the producer is done.
race.force(hold=consumer, at="receive:empty", until=(producer, "done"))


def test_my_race(kemu_race: Any) -> None:
    """Before the fix the race shows; after it, random delays do not bring it back."""
    outcome = kemu_race(race, how="jitter", trials=400)
    assert outcome.before.hits
    assert outcome.after.clean
