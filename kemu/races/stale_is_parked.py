"""stale-is-parked: kthread_unpark() leaves IS_PARKED set.

Before: a mutation, and no kernel.  The comment in kthread_unpark(), which came with "kthread:
Implement park/unpark facility" (Linux 3.7), warns of it.  Linux: kernel/kthread.c.

    CPU0                                      CPU1
    unpark(T): clear(SHOULD_PARK), wake       T is awake, and about to leave the park loop
    park(T): IS_PARKED is still set:
      return 0, with nothing done
                                              T leaves parkme(), and runs

After, unpark clears the bit itself, because it does not wait until T has left the loop.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched, smpboot
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "stale-is-parked", cpus=2, mutation=True,
    origin="a mutation: kthread_unpark() without the clearing of IS_PARKED",
    title="unpark leaves IS_PARKED to the thread: park at once believes it parked",
    names={"resident/1": "T"},
    labels={"kthread_unpark[resident/1]": "unpark(T)",
            "unpark:cleared[parker]": "  clear(SHOULD_PARK)",
            "parkme:woken[resident/1]": "T is awake", "parked[parker]": "park(T) has returned 0",
            "parkme:leaving[resident/1]": "T leaves parkme()"},
    budget="free: a hit within 5 s")
race.witness("still-in-the-loop", "park(T) was called when T was unparked, and still in parkme()")

SHOULD_PARK, IS_PARKED = kthread.KTHREAD_SHOULD_PARK, kthread.KTHREAD_IS_PARKED
CPU = 1


@race.before(kthread.__kthread_unpark)
def __kthread_unpark(k: Task, kthread: kthread.KThread) -> None:
    """Test IS_PARKED, and leave it to the thread to clear."""
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    if kthread.flags.test_bit(IS_PARKED):
        bind(k, kthread.cpu.load(), sched.TASK_PARKED)
        sched.wake_up_state(k, sched.TASK_PARKED)


bind = kthread.__kthread_bind


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 1: T."""

    thread = kemu.TaskRef()
    in_loop = kemu.Word()       # 1 from before it parks until it has left parkme()


def enters(cpu: int) -> None:
    Subject.on(cpu).in_loop.store(1)


def has_left(cpu: int) -> None:
    Subject.on(cpu).in_loop.store(0)


RESIDENT = idle_thread("resident/%u", park=enters, unpark=has_left)


@race.setup
def register(t: Trial) -> None:
    smpboot.smpboot_register_percpu_thread(RESIDENT)
    Subject.on(CPU).thread.set(smpboot.smpboot_thread(RESIDENT, CPU))


@race.prepare
def park_it(t: Trial) -> None:
    """Act only when T is at rest: otherwise the race would begin too early."""
    thread = Subject.on(CPU).thread.get()
    sched.wait_task_inactive(thread, 0)
    kthread.kthread_park(thread)


@race.actor(cpu=0)
def parker(t: Trial) -> None:
    subject = Subject.on(CPU)
    thread = subject.thread.get()
    with t.window():
        kthread.kthread_unpark(thread)
        flags = kthread.to_kthread(thread).flags
        if subject.in_loop.load() and not flags.test_bit(SHOULD_PARK):
            t.witness("still-in-the-loop")
        kthread.kthread_park(thread)
        kemu.point("parked")


@race.invariant(at="quiescence")
def park_returned_zero(t: Trial) -> None:
    """S21: when kthread_park() has returned 0, SHOULD_PARK is set."""
    flags = kthread.to_kthread(Subject.on(CPU).thread.get()).flags
    assert flags.test_bit(SHOULD_PARK), "park returned 0, and T was not asked to park"


@race.postcondition
def is_parked(t: Trial) -> None:
    """T sleeps in the park loop, on its CPU, and its parking was taken once."""
    thread = Subject.on(CPU).thread.get()
    assert thread.state.load() == sched.TASK_PARKED, "T is not parked"
    assert kthread.kthread_is_parked(thread), "IS_PARKED is not set"
    assert thread.cpus_allowed.load() == 1 << CPU, f"T's mask is {thread.cpus_allowed.load():#b}"
    assert not kthread.to_kthread(thread).parked.done.load(), "S25: a parking is left to be taken"


@race.conclude
def unpark_it(t: Trial) -> None:
    """So that the audit finds the thread of an online CPU as it should be.  T is awake then."""
    thread = Subject.on(CPU).thread.get()
    kthread.kthread_unpark(thread)
    sched.wait_task_inactive(thread, 0)
    assert not Subject.on(CPU).in_loop.load(), "unpark has not let T out of parkme()"


# Before, park() may return before T has woken: IS_PARKED is stale from the unpark on.
race.force(hold="resident/1", at="parkme:woken", until=(parker, "parked"), early=True)
