"""wait-queue-looks-empty: a waker changes the condition, and sees no waiter before others see the change.

Fix: "tty: fix stall caused by missing memory barrier in drivers/tty/n_tty.c" (2015, Linux 4.4), one
of a series.  Linux: include/linux/wait.h, waitqueue_active(): a caller needs smp_mb() before it.

Before: the pattern of that driver, with kemu's own wait queue.

    CPU1 (T)                            CPU0 (waker)
                                        work = 1
                                          (the store waits in CPU0's buffer)
                                        waitqueue_active(): nobody waits, so there is nothing to do
    wait_event(): T is in the queue
    no work
    schedule(): T sleeps for ever       the store reaches memory

After, smp_mb() stands between the store and the look.  The waiter's barrier is in
set_current_state(), which comes after T has queued itself.

x86 allows this: a load may be done before an earlier store of the same CPU is seen (memory=tso).
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.kernel.barrier import smp_mb
from kemu.kernel.sched import WaitQueue

race = kemu.Race(
    "wait-queue-looks-empty", cpus=2, memory="tso",
    origin="the pattern of drivers/tty/n_tty.c as of Linux 4.2",
    title="a waker looks for waiters before its change of the condition is seen",
    names={"sleeper": "T"},
    budget="exhaustive --memory tso: a hit with 2 preemptions")
race.witness("nobody-waits", "the waker found no waiter")


class Terminal(kemu.PerCPU):
    """What the two share."""

    queue = kemu.Embedded(WaitQueue)
    input = kemu.Word()
    read = kemu.Word()          # T has read the input


def waitqueue_active(queue: WaitQueue) -> bool:
    """Whether a task waits.  Linux: include/linux/wait.h.  Takes no lock."""
    return not queue.waiters.empty()


def receive(terminal: Terminal) -> bool:
    """Input has come; whether a task was woken."""
    terminal.input.store(1)
    smp_mb()
    if not waitqueue_active(terminal.queue):
        return False
    sched.wake_up(terminal.queue)
    return True


@race.before(receive)
def receive_without_barrier(terminal: Terminal) -> bool:
    """The same without the barrier."""
    terminal.input.store(1)
    if not waitqueue_active(terminal.queue):
        return False
    sched.wake_up(terminal.queue)
    return True


@race.actor(cpu=1)
def sleeper(t: Trial) -> None:
    terminal = Terminal.on(0)
    with t.window():
        sched.wait_event(terminal.queue, terminal.input.load, sched.TASK_INTERRUPTIBLE)
    terminal.read.store(terminal.input.load())


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    with t.window():
        if not receive(Terminal.on(0)):
            t.witness("nobody-waits")


@race.invariant()
def nobody_sleeps_with_input(t: Trial) -> None:
    """A task that has input does not sleep."""
    asleep = t.task(sleeper).state.load() == sched.TASK_INTERRUPTIBLE
    assert not (Terminal.on(0).input.load() and asleep), "the sleeper sleeps, and has input"


@race.postcondition
def the_input_is_read(t: Trial) -> None:
    """The wait returns when there is input, and not before."""
    assert Terminal.on(0).read.load(), "the sleeper went on without input"
