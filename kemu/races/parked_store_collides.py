"""parked-store-collides: a late TASK_RUNNING of an earlier wake-up overwrites TASK_PARKED.

Fix: b5bf9a90bbeb and 1cef1150ef40 (Linux 4.18), "kthread, sched/core: Fix
kthread_parkme() (again...)".  Linux: kernel/kthread.c, kernel/sched/core.c.

Before: Linux 3.9 to 4.16, which store TASK_PARKED as any other state.  T is about to sleep in
TASK_INTERRUPTIBLE when it is asked to park.

    CPU0 (parker)                             CPU1 (T)
    kthread_park(T): wake_up_process(T)
      T is INTERRUPTIBLE: to be woken         sees SHOULD_PARK
                                              state = TASK_PARKED
                                              complete(parked)
      state = TASK_RUNNING                    schedule(): still RUNNING, so T stays queued
    kthread_unpark(T): __kthread_bind
      T is not in TASK_PARKED: WARN, not bound

In 4.17 the CPU that switches away from T completes `parked`.  There the waker is late when T is off its
runqueue, and wakes T, of which the parker knows that it is parked:

    kthread_park(T): wake_up_process(T)
      T is INTERRUPTIBLE: to be woken         state = TASK_PARKED
                                              schedule(): T leaves: complete(parked)
      T is not queued: queue it, RUNNING
      wait_for_completion(): is complete
    kthread_unpark(T): __kthread_bind
      T is not in TASK_PARKED: WARN, not bound

3.8 parks in TASK_INTERRUPTIBLE and binds without a look at the state, so it has another race
(unpark-wrong-cpu), and not this one.

After, T stores TASK_PARKED under pi_lock.  The waker holds pi_lock from its test to its store, so
the two cannot cross.
"""

from __future__ import annotations

import kemu
from kemu.harness.sides import CLEAN, HIT
from kemu.harness.trial import Trial, witness
from kemu.kernel import kthread, sched, smpboot
from kemu.native import current
from kemu.races import parkme
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "parked-store-collides", cpus=2, fix="1cef1150ef40",
    origin="released: Linux 4.3 to 4.16",
    title="a waker's late store of TASK_RUNNING overwrites TASK_PARKED",
    expects="__kthread_bind", names={"idler/1": "T"},
    labels={"kthread_park[idler/1]": "park(T)", "ttwu:remote[parker]": "  wake: T is INTERRUPTIBLE",
            "parkme:completed[idler/1]": "state = TASK_PARKED; complete()",
            "sched_wakeup[idler/1]": "  state = TASK_RUNNING",
            "parkme:woken[idler/1]": "schedule() returns at once",
            "kthread_unpark[idler/1]": "unpark(T)", "kemu_panic": "WARN: T is not TASK_PARKED"},
    budget="jitter: a hit within 20 s; exhaustive: a hit with 3 preemptions, none with 2")
race.witness("waker-inside", "T was about to park while a waker was between its test and its store")


parkme.as_of("4.16", race.side("before"))
for release, expect in {"3.8": CLEAN, "3.9": HIT, "4.17": HIT, "4.18": CLEAN}.items():
    parkme.as_of(release, race.variant(release, expect=expect))


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
REMOTE, LATCHED = ("before", "3.8", "3.9", "4.18", "after"), ("4.17",)
race.force(hold="idler/1", at="smpboot:announced", until=(parker, "ttwu:remote"), sides=REMOTE)
race.force(hold=parker, at="ttwu:remote", until=("idler/1", "parkme:completed"), kind="locked", sides=REMOTE)
# In 4.17 T must have left its CPU before the waker goes on.  The second load is that of kthread_park().
FOUND = kemu.before("load", "idler/1.on_rq", nth=2)
race.force(hold="idler/1", at="smpboot:announced", until=(parker, FOUND), sides=LATCHED)
race.force(hold=parker, at=FOUND, until=("idler/1", "parkme:woken"), kind="locked", sides=LATCHED)
race.force(hold="idler/1", at="parkme:woken", until=(parker, "done"), early=True)
