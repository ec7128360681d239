"""park-returns-early: kthread_park() returns while the thread is still on its runqueue.

Fixes: 85f1abe0019f (Linux 4.17), "kthread, sched/wait: Fix kthread_parkme() completion issue", and
1cef1150ef40 (Linux 4.18), "kthread, sched/core: Fix kthread_parkme() (again...)".
Linux: kernel/kthread.c, kernel/sched/core.c.

    CPU0 (parker)                         CPU1 (T)
    kthread_park(T)
                                          state = TASK_PARKED
      3.9 to 4.16:                        complete(parked)
      4.17:                               preempted: the switch completes `parked`
    T is still queued
                                          schedule()

CPU hotplug parks the threads of a CPU that is to go, and then moves what is still queued there.  So it
moved a thread that is bound to the CPU.  4.17 has the CPU that switches away from T complete `parked`, if
T is in TASK_PARKED, but a thread that is preempted there is still queued.

After, as in 4.18, T completes `parked`, and kthread_park() then waits until T is off its runqueue.
kemu's own kernel is older and does not wait there.  stop-class-while-queued and unpark-from-idle show what
goes wrong, and what was done about it before.
"""

from __future__ import annotations

from typing import cast

import kemu
from kemu.harness.sides import HIT
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched, smpboot
from kemu.memory.views import Task
from kemu.races import parkme
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "park-returns-early", cpus=2, fix="1cef1150ef40", origin="released: Linux 4.3 to 4.16",
    title="kthread_park() returns when T has said that it parks, and T is still queued",
    names={"idler/1": "T"},
    labels={"kthread_park[idler/1]": "park(T)", "parkme:announced[idler/1]": "state = TASK_PARKED",
            "parkme:completed[idler/1]": "complete(parked)", "sched_switch[idler/1 out]": "T leaves CPU1",
            "parked[parker]": "  T is still queued"},
    budget="jitter: a hit within 10 s")
race.witness("still-queued", "T had said that it parks when it was still on its runqueue")

parkme.as_of("4.16", race.side("before"))
parkme.as_of("4.17", race.variant("4.17", expect=HIT))
parkme.as_of("4.18", race.side("after"))

CPU = 1
IDLER = idle_thread("idler/%u")


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 1: T."""

    thread = kemu.TaskRef()
    usage = kemu.Word()         # references to T while no task parks it


class Stage(kemu.PerCPU):
    """Of CPU 1."""

    queued = kemu.Word()        # T was on its runqueue when kthread_park(T) had returned
    parked = kemu.Word()        # kthread_park(T) returned 0


@race.setup
def register(t: Trial) -> None:
    smpboot.smpboot_register_percpu_thread(IDLER)
    thread = cast(Task, smpboot.smpboot_thread(IDLER, CPU))
    Subject.on(CPU).thread.set(thread)
    Subject.on(CPU).usage.store(thread.usage.load())
    sched.sched_setscheduler(t.task(rival), sched.SCHED_FIFO, 10)


@race.prepare
def forget(t: Trial) -> None:
    parkme.Parking.on(CPU).waited.store(0)


@race.actor(cpu=CPU)
def rival(t: Trial) -> None:
    """Preempt T again and again until it is parked."""
    while not t.done(parker):
        sched.schedule_timeout_uninterruptible(1)


@race.actor(cpu=0)
def parker(t: Trial) -> None:
    thread, stage = Subject.on(CPU).thread.get(), Stage.on(CPU)
    with t.window():
        ret = kthread.kthread_park(thread)
        stage.queued.store(thread.on_rq.load())
        kemu.point("parked")
    stage.parked.store(int(ret == 0))
    if stage.queued.load() or parkme.Parking.on(CPU).waited.load():
        t.witness("still-queued")
    sched.wait_task_inactive(thread, sched.TASK_PARKED)
    kthread.kthread_unpark(thread)


@race.invariant()
def a_parked_thread_is_off_its_runqueue(t: Trial) -> None:
    """S21: when kthread_park() has returned, the thread does not run until it is unparked."""
    assert not Stage.on(CPU).queued.load(), "kthread_park() returned, and T was still on its runqueue"


@race.postcondition
def park_and_unpark_do_their_part(t: Trial) -> None:
    """Park returned 0, T has left the park loop, is bound to CPU1, and no reference to T is left over."""
    subject = Subject.on(CPU)
    thread = subject.thread.get()
    assert Stage.on(CPU).parked.load(), "kthread_park() did not return 0"
    assert thread.state.load() == sched.TASK_INTERRUPTIBLE, "T does not wait for work in its loop"
    assert thread.cpus_allowed.load() == 1 << CPU, f"T's mask is {thread.cpus_allowed.load():#b}"
    usage, then = thread.usage.load(), subject.usage.load()
    assert usage == then, f"T has {usage} references; before it was parked there were {then}"


race.force(hold="idler/1", at="parkme:completed", until=(parker, "parked"), sides=("before", "after"))
# In 4.17 nothing but a preemption lets the parker go on: the rival's.
race.force(hold="idler/1", at="parkme:announced", until=(parker, "parked"), kind="preemptible",
           sides=("4.17",))
