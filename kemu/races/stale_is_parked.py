"""stale-is-parked: a mutation, not history: kthread_unpark() leaves IS_PARKED set.

What the comment in seed 004's kthread_unpark() warns of, shown by leaving the clear
out.  Linux: kernel/kthread.c.

    parker                                    T
    unpark(T): clear(SHOULD_PARK), wake       parked; about to leave the park loop
    park(T): IS_PARKED is still set:
      return 0, with nothing done
    ... believes T parked                     leaves parkme(), and runs

After, unpark clears the bit itself, since it does not wait for T to leave.
"""

from __future__ import annotations

import kemu
from kemu.kernel import kthread, sched, smpboot
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread
from kemu.harness.trial import Trial

race = kemu.Race(
    "stale-is-parked", cpus=2, mutation=True,
    title="unpark leaves IS_PARKED to the thread: park at once believes it parked",
    names={"resident/1": "T"},
    labels={"kthread_unpark[resident/1]": "unpark(T)",
            "unpark:cleared[parker]": "  clear(SHOULD_PARK)",
            "parkme:woken[resident/1]": "T is awake", "parked[parker]": "park(T) has returned 0",
            "parkme:leaving[resident/1]": "T leaves parkme()"},
    budget="free: a hit within 5 s")

SHOULD_PARK, IS_PARKED = kthread.KTHREAD_SHOULD_PARK, kthread.KTHREAD_IS_PARKED


@race.before(kthread.__kthread_unpark)
def __kthread_unpark(k: Task, kthread: kthread.KThread) -> None:
    """Test IS_PARKED, and leave it to the thread to clear."""
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    if kthread.flags.test_bit(IS_PARKED):
        bind(k, kthread.cpu.load(), sched.TASK_PARKED)
        sched.wake_up_state(k, sched.TASK_PARKED)


bind = kthread.__kthread_bind


RESIDENT = idle_thread("resident/%u")


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 1: T."""

    thread = kemu.TaskRef()


@race.setup
def register(t: Trial) -> None:
    smpboot.smpboot_register_percpu_thread(RESIDENT)
    Subject.on(1).thread.set(smpboot.smpboot_thread(RESIDENT, 1))


@race.prepare
def park_it(t: Trial) -> None:
    """Once it has come to rest, or this would be the race already."""
    thread = Subject.on(1).thread.get()
    sched.wait_task_inactive(thread, 0)
    kthread.kthread_park(thread)


@race.actor(cpu=0)
def parker(t: Trial) -> None:
    thread = Subject.on(1).thread.get()
    with t.window():
        kthread.kthread_unpark(thread)
        kthread.kthread_park(thread)
        kemu.point("parked")


@race.conclude
def unpark_it(t: Trial) -> None:
    """So that the audit finds the thread of an online CPU as it should be."""
    kthread.kthread_unpark(Subject.on(1).thread.get())


@race.invariant(at="quiescence")
def park_returned_zero(t: Trial) -> None:
    """S21: when kthread_park() has returned 0, SHOULD_PARK is set."""
    flags = kthread.to_kthread(Subject.on(1).thread.get()).flags
    assert flags.test_bit(SHOULD_PARK), "park returned 0, and T was not asked to park"


race.force(hold="resident/1", at="parkme:woken", until=(parker, "parked"))
