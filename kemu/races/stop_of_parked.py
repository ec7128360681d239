"""stop-of-parked: kthread_stop() of a parked thread waits for ever.

Fix: f2530dc71cf0 (Linux 3.9), "kthread: Prevent unpark race which puts threads on
the wrong cpu", in kthread_stop().  Linux: kernel/kthread.c.

Before: a composite.  That fix without its hunk in kthread_stop(): T parks in TASK_PARKED, and
kthread_stop() clears SHOULD_PARK and wakes T as any task would, as before the fix.

    CPU0                          CPU1 (T)
    kthread_park(T)
                                  state = TASK_PARKED, schedule()
    kthread_stop(T)
      clear(SHOULD_PARK)
      wake_up_process(T): T is PARKED, so not woken
      wait_for_completion(exited), for ever

After, kthread_stop() unparks T, which wakes it from TASK_PARKED, and then wakes it once more.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.sched.completion import wait_for_completion
from kemu.memory.views import Task

race = kemu.Race(
    "stop-of-parked", cpus=2, fix="f2530dc71cf0",
    origin="a composite: the fix of 3.9 without its hunk in kthread_stop(), which is then 3.8's",
    title="kthread_stop() wakes a parked thread by an ordinary wake-up, which does not reach it",
    names={"worker/1": "T"},
    labels={"kthread_park[worker/1]": "park(T)", "sched_switch[worker/1 out]": "TASK_PARKED, schedule()",
            "sched_kthread_stop[worker/1]": "kthread_stop(T)", "stop:woken[stopper]":
            "  wake_up_process(T), and wait"},
    budget="free: a hit within 5 s")
race.witness("stopped-in-park", "kthread_stop(T) was called when T slept in TASK_PARKED")

CPU, RESULT = 1, 7


@race.before(kthread.kthread_stop)
def kthread_stop(k: Task) -> int:
    """Clear SHOULD_PARK, and wake it with an ordinary wake-up."""
    self = kthread.task_get_live_kthread(k)
    assert self is not None
    self.flags.set_bit(kthread.KTHREAD_SHOULD_STOP)
    self.flags.clear_bit(kthread.KTHREAD_SHOULD_PARK)
    sched.wake_up_process(k)
    kemu.point("stop:woken")
    wait_for_completion(self.exited)
    ret: int = k.exit_code.load()
    put_task_struct(k)
    return ret


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 1: T."""

    thread = kemu.TaskRef()
    result = kemu.Word()


def work(data: None) -> int:
    """T: park when it is asked to, until it is to stop."""
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
        else:
            sched.set_current_state(sched.TASK_INTERRUPTIBLE)
            if not kthread.kthread_should_park() and not kthread.kthread_should_stop():
                sched.schedule()
            sched.__set_current_state(sched.TASK_RUNNING)
    return RESULT


@race.prepare
def create(t: Trial) -> None:
    """T runs on CPU1, and sleeps."""
    thread = kthread.kthread_create_on_cpu(work, None, CPU, "worker/%u")
    get_task_struct(thread)
    Subject.on(CPU).thread.set(thread)
    Subject.on(CPU).result.store(0)
    kthread.kthread_unpark(thread)
    sched.wait_task_inactive(thread, 0)


@race.actor(cpu=0)
def stopper(t: Trial) -> None:
    """Park T; when it sleeps, stop it."""
    subject = Subject.on(CPU)
    thread = subject.thread.get()
    with t.window():
        kthread.kthread_park(thread)
        kemu.point("parked")
        sched.wait_task_inactive(thread, sched.TASK_PARKED)
        if thread.state.load() == sched.TASK_PARKED and not thread.on_rq.load():
            t.witness("stopped-in-park")
        subject.result.store(kthread.kthread_stop(thread))


race.asleep(stopper)


@race.postcondition
def stop_returns_the_result(t: Trial) -> None:
    """T has ended, kthread_stop() has returned its result, and only this race has a reference to it."""
    subject = Subject.on(CPU)
    thread = subject.thread.get()
    assert thread.ended.load(), "T has not ended"
    assert thread.usage.load() == 1, f"{thread.usage.load()} references to T are left"
    assert subject.result.load() == RESULT, f"kthread_stop() returned {subject.result.load()}"


@race.conclude
def forget(t: Trial) -> None:
    put_task_struct(Subject.on(CPU).thread.get())


race.force(hold="worker/1", at="parkme:completed", until=(stopper, "parked"), early=True)
