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

from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.races.given_work import CPU, Reactor, note_that_it_waited, race_of_a_sleeper


def prepare_to_sleep() -> None:
    """The state, then a barrier."""
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)


def sleeper(t: Trial) -> None:
    reactor = Reactor.on(CPU)
    with t.window():
        prepare_to_sleep()
        while not reactor.work.load():
            reactor.looked.store(1)
            sched.schedule()
            prepare_to_sleep()
        sched.set_current_state(sched.TASK_RUNNING)
    note_that_it_waited()


race = race_of_a_sleeper(
    "state-without-barrier", sleeper, memory="tso",
    origin="a pattern: __set_current_state() in place of set_current_state()",
    title="set the state without a barrier: the condition is tested first",
    budget="exhaustive --memory tso: a hit with 2 preemptions")


@race.before(prepare_to_sleep)
def prepare_to_sleep_without_barrier() -> None:
    """The state."""
    sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
