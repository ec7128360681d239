"""The fixed kernel: a parked thread is unparked, stopped and woken by three tasks at once."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.races.stop_of_parked import RESULT, work

race = kemu.Race("kernel-unpark-and-stop", cpus=3)


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 0."""

    thread = kemu.TaskRef()
    result = kemu.Word()


@race.prepare
def create(t: Trial) -> None:
    """T is parked on CPU 1."""
    thread = kthread.kthread_create_on_cpu(work, None, 1, "worker/%u")
    get_task_struct(thread)
    Subject.on(0).thread.set(thread)
    Subject.on(0).result.store(0)
    kthread.kthread_unpark(thread)
    sched.wait_task_inactive(thread, 0)
    kthread.kthread_park(thread)


@race.actor(cpu=0)
def unparker(t: Trial) -> None:
    with t.window():
        kthread.kthread_unpark(Subject.on(0).thread.get())


@race.actor(cpu=1)
def waker(t: Trial) -> None:
    with t.window():
        sched.wake_up_process(Subject.on(0).thread.get())


@race.actor(cpu=2)
def stopper(t: Trial) -> None:
    with t.window():
        Subject.on(0).result.store(kthread.kthread_stop(Subject.on(0).thread.get()))


@race.postcondition
def it_has_ended(t: Trial) -> None:
    assert Subject.on(0).thread.get().ended.load(), "T has not ended"
    result = Subject.on(0).result.load()
    assert result == RESULT, f"kthread_stop() returned {result}"


@race.conclude
def forget(t: Trial) -> None:
    put_task_struct(Subject.on(0).thread.get())
