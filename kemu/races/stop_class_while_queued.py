"""stop-class-while-queued: the stop class is given to a thread that is still queued.

Fix: f2530dc71cf0 (Linux 3.9), race 2.  Linux: kernel/smpboot.c.

T is to be the stop task of CPU2.  It parks itself on CPU1, where it was born.

    CPU0                            CPU1
    create_thread(T)
    park(T)
      wait_for_completion()
                                    parkme()
                                      complete()
    sched_set_stop_task(2, T)
                                    schedule(TASK_PARKED)

sched_set_stop_task() makes T a FIFO task, on CPU1's queue of that class, and then
of the stop class, which has no queue: CPU1 counts T out and leaves it linked.
After, the create hook is called only when T is off its runqueue.
"""

from __future__ import annotations

import kemu
from kemu.kernel import kthread, sched, smpboot
from kemu.kernel.fork import put_task_struct
from kemu.memory.struct import PerCPU
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread
from kemu.harness.trial import Trial

CPU = 2

race = kemu.Race(
    "stop-class-while-queued", cpus=3, placement=(0, 1, 1), fix="f2530dc71cf0",
    title="sched_set_stop_task() on a thread that has said it is parked, and is still queued",
    expects="the stop class dequeues", names={"stopper/2": "T"},
    labels={"start[creator]": "create_thread(T)", "kthread_park[stopper/2]": "park(T)",
            "parkme:completed[stopper/2]": "parkme(): complete()",
            "stop:set[creator]": "sched_set_stop_task(T)",
            "kemu_panic": "schedule(TASK_PARKED): T stays linked"},
    budget="jitter: a hit within 10 s")


@race.before(smpboot.run_create_hook)
def run_create_hook(descriptor: smpboot.SmpHotplugThread, tsk: Task, cpu: int) -> None:
    """Call the hook at once: the thread has said that it is parked."""
    assert descriptor.create is not None
    descriptor.create(cpu)


class Stopper(PerCPU, keep=True):
    """The thread that is to be a CPU's stop task."""

    thread = kemu.TaskRef()


def make_stop_task(cpu: int) -> None:
    """The create hook."""
    sched.sched_set_stop_task(cpu, Stopper.on(cpu).thread.get())
    kemu.point("stop:set")


STOPPER = idle_thread("stopper/%u",
                                   create=make_stop_task, store=Stopper)


@race.actor(cpu=0)
def creator(t: Trial) -> None:
    with t.window():
        smpboot.create_thread(STOPPER, CPU)


@race.conclude
def destroy(t: Trial) -> None:
    """The thread leaves office, parked as it is, and is stopped."""
    thread = Stopper.on(CPU).thread.get()
    sched.wait_task_inactive(thread, sched.TASK_PARKED)
    sched.sched_set_stop_task(CPU, None)
    kthread.kthread_stop(thread)
    put_task_struct(thread)


race.force(hold="stopper/2", at="parkme:completed", until=(creator, "stop:set"))
