"""The fixed kernel: a thread that sleeps is parked, and woken by another task meanwhile."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched, smpboot
from kemu.races.idle_thread import idle_thread

race = kemu.Race("kernel-wake-and-park", cpus=3)
RESIDENT = idle_thread("resident/%u")


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 0."""

    thread = kemu.TaskRef()


@race.setup
def register(t: Trial) -> None:
    smpboot.smpboot_register_percpu_thread(RESIDENT)
    Subject.on(0).thread.set(smpboot.smpboot_thread(RESIDENT, 1))


@race.prepare
def let_it_sleep(t: Trial) -> None:
    sched.wait_task_inactive(Subject.on(0).thread.get(), 0)


@race.actor(cpu=0)
def parker(t: Trial) -> None:
    with t.window():
        kthread.kthread_park(Subject.on(0).thread.get())


@race.actor(cpu=2)
def waker(t: Trial) -> None:
    with t.window():
        sched.wake_up_process(Subject.on(0).thread.get())


@race.postcondition
def it_is_parked(t: Trial) -> None:
    thread = Subject.on(0).thread.get()
    assert thread.state.load() == sched.TASK_PARKED, f"T's state is {thread.state.load()}"
    assert kthread.kthread_is_parked(thread), "IS_PARKED is not set"
    assert thread.cpus_allowed.load() == 1 << 1, f"T's mask is {thread.cpus_allowed.load():#b}"


@race.conclude
def unpark_it(t: Trial) -> None:
    kthread.kthread_unpark(Subject.on(0).thread.get())
    sched.wait_task_inactive(Subject.on(0).thread.get(), 0)
