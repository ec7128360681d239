"""unpark-wrong-cpu: a stray wake-up lets a parked thread run on the wrong CPU.

Fix: f2530dc71cf0 (Linux 3.9), "kthread: Prevent unpark race which puts threads on
the wrong cpu", race 1.  Linux: kernel/kthread.c.

Before: Linux 3.7 and 3.8.  T is the per-CPU thread of CPU2.  It was created and parked on CPU1, and
has not been bound yet.

    CPU0                 CPU1                                  CPU2
    unpark(T)                                                  wake_up_process(T)
      clear(SHOULD_PARK) T runs
                         leave parkme() due to !SHOULD_PARK
      bind_to(CPU2)      BUG_ON(wrong CPU)

A parked thread slept in TASK_INTERRUPTIBLE, in which any waker may wake it.  After, it sleeps in
TASK_PARKED.  Only unpark wakes it from there, and unpark binds it first.

The wake-up must come in the microseconds around clear(SHOULD_PARK) and bind.  The waker's CPU shares
a host core with CPU1, where T is born, so the waker sleeps while T is made, and takes a while to wake.
So unpark begins only when the waker is awake:

    Subject.thread  <- T: by the unparker, when T is parked
    Subject.ready   <- 1: by the waker, when it has found T.  Store-release; the unparker waits for it
"""

from __future__ import annotations

import kemu
from kemu.harness.sides import CLEAN
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched, smpboot
from kemu.kernel.fork import put_task_struct
from kemu.kernel.sched.state import PF_NO_SETAFFINITY
from kemu.races import parkme
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "unpark-wrong-cpu", cpus=3, placement=(0, 1, 1), fix="f2530dc71cf0",
    origin="released: Linux 3.7 and 3.8",
    title="a stray wake-up between clear(SHOULD_PARK) and bind: the thread runs on the wrong CPU",
    expects="wrong CPU", names={"victim/2": "T"},
    labels={"kthread_unpark[victim/2]": "unpark(T)", "unpark:cleared[unparker]":
            "  clear(SHOULD_PARK)", "sched_waking[waker]": "wake_up_process(T)",
            "parkme:woken[victim/2]": "T runs",
            "parkme:leaving[victim/2]": "leave parkme() due to !SHOULD_PARK",
            "kthread_bind[victim/2]": "  bind_to(CPU{a})", "kemu_panic": "BUG_ON(wrong CPU)"},
    budget="free: first hit within 5 s on 2 cores")
parkme.as_of("3.8", race.side("before"))
for release in ("3.9", "4.16", "4.17", "4.18"):
    parkme.as_of(release, race.variant(release, expect=CLEAN))
BIND_LATER, BIND_FIRST = ("before", "3.9", "4.16", "after"), ("4.17", "4.18")
race.witness("woken-unbound", "the stray wake-up came when SHOULD_PARK was clear, and T not bound",
             sides=BIND_LATER)
race.witness("woken-while-bound", "the stray wake-up came when T was parked, and was being bound",
             sides=BIND_FIRST)

CPU = 2
VICTIM = idle_thread("victim/%u")


class Subject(kemu.PerCPU):
    """Of CPU 2: T, and whether the waker is ready to wake it."""

    thread = kemu.TaskRef()
    ready = kemu.Word()


@race.actor(cpu=0)
def unparker(t: Trial) -> None:
    """Create T, as for a CPU that is to come up: parked where it is born, and not bound.  Unpark it.

    T's OS thread is in the process of CPU1, so that T and the waker do not take turns.
    """
    subject = Subject.on(CPU)
    thread = smpboot.create_thread(VICTIM, CPU, home=1)
    subject.thread.set(thread)
    with t.window():
        subject.ready.wait_while(0)
        kthread.kthread_unpark(thread)


@race.actor(cpu=CPU)
def waker(t: Trial) -> None:
    """Wake T once, when T is parked and the unparker is about to unpark it."""
    subject = Subject.on(CPU)
    subject.thread.slot.wait_while(0)
    thread = subject.thread.get()
    flags = kthread.to_kthread(thread).flags
    subject.ready.store_release(1)
    kemu.point("waker:ready")
    with t.window():
        asked = flags.test_bit(kthread.KTHREAD_SHOULD_PARK)
        if thread.cpus_allowed.load() != 1 << CPU:
            t.witness("woken-while-bound" if asked else "woken-unbound")
        sched.wake_up_process(thread)


@race.postcondition
def unpark_lets_it_run_on_its_cpu(t: Trial) -> None:
    """T has left the park loop, is bound to CPU2 for good, and last ran there."""
    thread = Subject.on(CPU).thread.get()
    assert not kthread.kthread_is_parked(thread), "T is still parked"
    assert thread.state.load() == sched.TASK_INTERRUPTIBLE, "T does not wait for work in its loop"
    assert thread.cpus_allowed.load() == 1 << CPU, f"T's mask is {thread.cpus_allowed.load():#b}"
    assert thread.flags.load() & PF_NO_SETAFFINITY, "T is not bound for good"
    assert thread.cpu.load() == CPU, f"T is on CPU{thread.cpu.load()}"


@race.conclude
def destroy(t: Trial) -> None:
    thread = Subject.on(CPU).thread.get()
    kthread.kthread_stop(thread)
    put_task_struct(thread)


# Actors are held by name: an actor that is named by its function would start only when the held one is
# held, and these two wait for each other before that.
race.force(hold="waker", at="waker:ready", until=(unparker, "unpark:cleared"), early=True,
           sides=BIND_LATER)
race.force(hold=unparker, at="unpark:cleared", until=("victim/2", "parkme:leaving"),
           sides=("before",))
race.force(hold="victim/2", at="parkme:leaving", until=(unparker, "done"), sides=("before",))
# After, T is held before it sleeps, so that unpark must wait for it, as the fix says.
race.force(hold="victim/2", at="parkme:completed", until=(unparker, "done"), sides=BIND_LATER[1:])
race.force(hold="unparker", at="unpark:cleared", until=(waker, "done"), sides=BIND_LATER[1:])
race.force(hold="waker", at="waker:ready", until=(unparker, "bind:inactive"), sides=BIND_FIRST)
race.force(hold="unparker", at="bind:inactive", until=(waker, "done"), sides=BIND_FIRST)
