"""unpark-wrong-cpu: a stray wake-up lets a parked thread run on the wrong CPU.

Fix: f2530dc71cf0 (Linux 3.9), "kthread: Prevent unpark race which puts threads on
the wrong cpu", race 1.  Linux: kernel/kthread.c.

T is the per-CPU thread of CPU2.  It is parked, and last ran on CPU1.

    CPU0                 CPU1                                  CPU2
    unpark(T)                                                  wake_up_process(T)
      clear(SHOULD_PARK) T runs
                         leave parkme() due to !SHOULD_PARK
      bind_to(CPU2)      BUG_ON(wrong CPU)

Before, a parked thread slept in TASK_INTERRUPTIBLE, in which anybody may wake it.
After, it sleeps in TASK_PARKED, which only unpark wakes, after it has bound it.
"""

from __future__ import annotations

import kemu
from kemu import native
from kemu.kernel import kthread, sched, smpboot
from kemu.kernel.sched.completion import complete
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread
from kemu.harness.trial import Trial
from kemu.trace import events

race = kemu.Race(
    "unpark-wrong-cpu", cpus=3, placement=(0, 1, 1), fix="f2530dc71cf0",
    title="a stray wake-up between clear(SHOULD_PARK) and bind: the thread runs on the wrong CPU",
    expects="wrong CPU", names={"victim/2": "T"},
    labels={"kthread_unpark[victim/2]": "unpark(T)", "unpark:cleared[unparker]":
            "  clear(SHOULD_PARK)", "sched_waking[waker]": "wake_up_process(T)",
            "sched_switch[victim/2]": "T runs",
            "parkme:leaving[victim/2]": "leave parkme() due to !SHOULD_PARK",
            "kthread_bind[victim/2]": "  bind_to(CPU{a})", "kemu_panic": "BUG_ON(wrong CPU)"},
    budget="free: first hit within 5 s on 2 cores")


# -- before ---------------------------------------------------------------------

@race.before(kthread.__kthread_parkme)
def __kthread_parkme(self: kthread.KThread) -> None:
    """Sleep in TASK_INTERRUPTIBLE while parked."""
    sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
    while self.flags.test_bit(kthread.KTHREAD_SHOULD_PARK):
        if not self.flags.test_and_set_bit(kthread.KTHREAD_IS_PARKED):
            complete(self.parked)
        sched.schedule()
        sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
    kemu.point("parkme:leaving")
    self.flags.clear_bit(kthread.KTHREAD_IS_PARKED)
    sched.__set_current_state(sched.TASK_RUNNING)


@race.before(kthread.__kthread_bind)
def __kthread_bind(p: Task, cpu: int, state: int) -> None:
    """Bind without waiting for the thread to be inactive."""
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)


@race.before(kthread.__kthread_unpark)
def __kthread_unpark(k: Task, kthread: kthread.KThread) -> None:
    """Wake it as anybody would."""
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    if kthread.flags.test_and_clear_bit(IS_PARKED):
        if kthread.flags.test_bit(IS_PER_CPU):
            bind(k, kthread.cpu.load(), 0)
        sched.wake_up_process(k)


SHOULD_PARK, IS_PARKED = kthread.KTHREAD_SHOULD_PARK, kthread.KTHREAD_IS_PARKED
IS_PER_CPU = kthread.KTHREAD_IS_PER_CPU
bind = kthread.__kthread_bind


# -- the trial ------------------------------------------------------------------

VICTIM = idle_thread("victim/%u")


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 2: T."""

    thread = kemu.TaskRef()


@race.setup
def register(t: Trial) -> None:
    """A per-CPU thread on every CPU; T is that of CPU 2."""
    smpboot.smpboot_register_percpu_thread(VICTIM)
    Subject.on(2).thread.set(smpboot.smpboot_thread(VICTIM, 2))


@race.prepare
def park_unbound(t: Trial) -> None:
    """T is parked as a hotplug leaves it: bound to no CPU, last seen on CPU 1."""
    thread = Subject.on(2).thread.get()
    kthread.kthread_park(thread)
    sched.wait_task_inactive(thread, 0)
    sched.do_set_cpus_allowed(thread, 0b111)
    thread.cpu.store(1)


@race.actor(cpu=0)
def unparker(t: Trial) -> None:
    thread = Subject.on(2).thread.get()
    with t.window():
        kthread.kthread_unpark(thread)


@race.actor(cpu=2)
def waker(t: Trial) -> None:
    thread = Subject.on(2).thread.get()
    with t.window():
        sched.wake_up_process(thread)


race.force(hold=waker, at="start", until=(unparker, "unpark:cleared"))
race.force(hold=unparker, at="unpark:cleared", until=("victim/2", "parkme:leaving"))
race.force(hold="victim/2", at="parkme:leaving", until=(unparker, "done"), sides=("before",))
