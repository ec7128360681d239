"""parked-store-collides: a late TASK_RUNNING of an earlier wake-up overwrites TASK_PARKED.

Fix: b5bf9a90bbeb and 1cef1150ef40 (Linux 4.18), "kthread, sched/core: Fix
kthread_parkme() (again...)".  Linux: kernel/kthread.c, kernel/sched/core.c.

Before: Linux 3.9 to 4.16.  T is about to sleep in TASK_INTERRUPTIBLE when it is asked to park.

    CPU0 (parker)                             CPU1 (T)
    kthread_park(T): wake_up_process(T)
      T is INTERRUPTIBLE: to be woken         sees SHOULD_PARK
                                              state = TASK_PARKED
                                              complete(parked)
      state = TASK_RUNNING                    schedule(): still RUNNING, so T stays queued
    kthread_unpark(T): __kthread_bind
      T is not in TASK_PARKED: WARN, not bound

After, T stores TASK_PARKED under pi_lock.  The waker holds pi_lock from its test to its store, so
the two cannot cross.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial, witness
from kemu.kernel import kthread, sched, smpboot
from kemu.kernel.sched import state as sched_state
from kemu.native import current
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "parked-store-collides", cpus=2, fix="1cef1150ef40",
    origin="released: Linux 3.9 to 4.16, as far as the state is concerned",
    title="a waker's late store of TASK_RUNNING overwrites TASK_PARKED",
    expects="__kthread_bind", names={"idler/1": "T"},
    labels={"kthread_park[idler/1]": "park(T)", "ttwu:remote[parker]": "  wake: T is INTERRUPTIBLE",
            "parkme:completed[idler/1]": "state = TASK_PARKED; complete()",
            "sched_wakeup[idler/1]": "  state = TASK_RUNNING",
            "parkme:woken[idler/1]": "schedule() returns at once",
            "kthread_unpark[idler/1]": "unpark(T)", "kemu_panic": "WARN: T is not TASK_PARKED"},
    budget="jitter: a hit within 20 s; exhaustive: a hit with 3 preemptions, none with 2")
race.witness("waker-inside", "T was about to park while a waker was between its test and its store")


@race.before(sched_state.set_special_state)
def set_special_state(state: int) -> None:
    """Store it without pi_lock, as any other state."""
    current().state.store(state)


def look_for_a_waker(cpu: int) -> None:
    """T's park hook: its next step is to park.  A waker holds T's pi_lock."""
    if current().pi_lock.load():
        witness("waker-inside")


CPU = 1
IDLER = idle_thread("idler/%u", park=look_for_a_waker)


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 1: T."""

    thread = kemu.TaskRef()


@race.setup
def register(t: Trial) -> None:
    smpboot.smpboot_register_percpu_thread(IDLER)
    Subject.on(CPU).thread.set(smpboot.smpboot_thread(IDLER, CPU))


@race.actor(cpu=0)
def parker(t: Trial) -> None:
    thread = Subject.on(CPU).thread.get()
    # T goes round its loop once more, and so passes its INTERRUPTIBLE again.
    sched.wake_up_process(thread)
    kemu.point("nudged")
    with t.window():
        kthread.kthread_park(thread)
        kemu.point("parked")
        kthread.kthread_unpark(thread)


@race.invariant(at="quiescence")
def parked_once(t: Trial) -> None:
    """S25: T, whose sleep was undone, parks a second time: that parking is nobody's to take."""
    thread = Subject.on(CPU).thread.get()
    assert not kthread.to_kthread(thread).parked.done.load(), "T has said twice that it is parked"


@race.postcondition
def unpark_lets_it_run(t: Trial) -> None:
    """T has left the park loop, and is bound to CPU1."""
    thread = Subject.on(CPU).thread.get()
    assert thread.state.load() == sched.TASK_INTERRUPTIBLE, "T does not wait for work in its loop"
    assert thread.cpus_allowed.load() == 1 << CPU, f"T's mask is {thread.cpus_allowed.load():#b}"


race.force(hold=parker, at="nudged", until=("idler/1", "smpboot:announced"), early=True)
race.force(hold="idler/1", at="smpboot:announced", until=(parker, "ttwu:remote"))
race.force(hold=parker, at="ttwu:remote", until=("idler/1", "parkme:completed"), kind="locked")
race.force(hold="idler/1", at="parkme:woken", until=(parker, "done"), early=True)
