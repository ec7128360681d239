"""state-without-barrier: a task sets its state, and tests its condition before others see the state.

Before: a pattern, and no commit.  The two sides differ by the barrier in set_current_state().
Both sets of stores and loads are in the right order in the program.

    CPU1 (T)                            CPU0 (waker)
    state = INTERRUPTIBLE
      (the store waits in CPU1's buffer)
    no work
                                        work = 1
                                        wake_up_process(T): T's state is RUNNING, so there is
                                          nothing to do
    schedule(): the store reaches memory
    T sleeps, with work to do

After, the barrier comes before the test.  Then either T sees the work, or the waker sees the state.

x86 allows this: a load may be done before an earlier store of the same CPU is seen (memory=tso).
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import sched

race = kemu.Race(
    "state-without-barrier", cpus=2, memory="tso",
    origin="a pattern: __set_current_state() in place of set_current_state()",
    title="set the state without a barrier: the condition is tested first",
    names={"sleeper": "T"},
    budget="exhaustive --memory tso: a hit with 2 preemptions")
race.witness("given-in-between", "work was given when T had looked, and did not sleep yet")


class Reactor(kemu.PerCPU):
    """What the two share."""

    work = kemu.Word()
    looked = kemu.Word()        # T has found no work
    served = kemu.Word()        # there was work when T had waited for it


def prepare_to_sleep() -> None:
    """The state, then a barrier."""
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)


@race.before(prepare_to_sleep)
def prepare_to_sleep_without_barrier() -> None:
    """The state."""
    sched.__set_current_state(sched.TASK_INTERRUPTIBLE)


@race.actor(cpu=1)
def sleeper(t: Trial) -> None:
    reactor = Reactor.on(1)
    with t.window():
        prepare_to_sleep()
        while not reactor.work.load():
            reactor.looked.store(1)
            sched.schedule()
            prepare_to_sleep()
        sched.set_current_state(sched.TASK_RUNNING)
    reactor.served.store(reactor.work.load())


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    reactor, task = Reactor.on(1), t.task(sleeper)
    with t.window():
        reactor.work.store(1)
        if reactor.looked.load() and task.on_cpu.load():
            t.witness("given-in-between")
        sched.wake_up_process(task)


@race.invariant(at="quiescence")
def nobody_sleeps_with_work(t: Trial) -> None:
    """A task that has work does not sleep."""
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Reactor.on(1).work.load() and asleep), "the sleeper sleeps, and has work"


@race.postcondition
def waits_until_there_is_work(t: Trial) -> None:
    """The wait returns when there is work, and not before."""
    assert Reactor.on(1).served.load(), "the sleeper went on without work"
