"""stop-class-while-queued: the stop class is given to a thread that is still queued.

Fix: f2530dc71cf0 (Linux 3.9), "kthread: Prevent unpark race which puts threads on
the wrong cpu", race 2.  Linux: kernel/smpboot.c.

Before: Linux 3.7 and 3.8.  CPU2 is down, and is to come up.  T is created to be its stop task, and
parks itself on CPU1, where it was born.

    CPU0                            CPU1
    create_thread(T)
    park(T)
      wait_for_completion()
                                    parkme()
                                      complete()
    sched_set_stop_task(2, T)
                                    schedule(TASK_PARKED)

sched_set_stop_task() makes T a FIFO task, on CPU1's queue of that class.  Then it gives T the
stop class, which has no queue.  So CPU1 counts T out, and leaves it linked.
After, the create hook is called only when T is off its runqueue.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial, witness
from kemu.kernel import kthread, sched, smpboot
from kemu.kernel.cpu_stop import CpuStopper
from kemu.kernel.fork import put_task_struct
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.sched.runqueue import STOP, runqueues
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread

CPU = 2

race = kemu.Race(
    "stop-class-while-queued", cpus=3, placement=(0, 1, 1), fix="f2530dc71cf0",
    origin="released: Linux 3.7 and 3.8",
    title="sched_set_stop_task() on a thread that has said it is parked, and is still queued",
    expects="the stop class dequeues", names={"stopper/2": "T"},
    labels={"start[creator]": "create_thread(T)", "kthread_park[stopper/2]": "park(T)",
            "parkme:completed[stopper/2]": "parkme(): complete()",
            "stop:set[creator]": "sched_set_stop_task(T)",
            "kemu_panic": "schedule(TASK_PARKED): T stays linked"},
    budget="jitter: a hit within 10 s")
race.witness("still-queued", "park(T) had returned, and T was still queued")


@race.before(smpboot.run_create_hook)
def run_create_hook(descriptor: smpboot.SmpHotplugThread, tsk: Task, cpu: int) -> None:
    """Call the hook at once: the thread has said that it is parked."""
    assert descriptor.create is not None
    descriptor.create(cpu)


class Stopper(kemu.PerCPU, keep=True):
    """Where smpboot keeps the thread, from the moment that it has said that it is parked."""

    kept = kemu.TaskRef()

    @property
    def thread(self) -> Stopper:
        return self

    def set(self, task: Task) -> None:
        if task.on_rq.load():
            witness("still-queued")
        self.kept.set(task)


def make_stop_task(cpu: int) -> None:
    """The create hook."""
    sched.sched_set_stop_task(cpu, Stopper.on(cpu).kept.get())
    kemu.point("stop:set")


STOPPER = idle_thread("stopper/%u", create=make_stop_task, store=Stopper)


@race.prepare
def take_down(t: Trial) -> None:
    cpu_down(CPU)


@race.actor(cpu=0)
def creator(t: Trial) -> None:
    with t.window():
        smpboot.create_thread(STOPPER, CPU)


@race.postcondition
def is_the_stop_task(t: Trial) -> None:
    """T is parked, on no runqueue, and the stop task of CPU2."""
    thread = Stopper.on(CPU).kept.get()
    assert thread.state.load() == sched.TASK_PARKED, "T is not parked"
    assert not thread.on_rq.load(), "T is queued"
    assert thread.sched_class.load() == STOP, "T is not of the stop class"
    assert runqueues[CPU].stop.load() == thread.ref, "T is not CPU2's stop task"


@race.conclude
def bring_up(t: Trial) -> None:
    """CPU2's own stopper takes its place again, T ends, and the CPU comes up."""
    thread = Stopper.on(CPU).kept.get()
    sched.sched_set_stop_task(CPU, CpuStopper.on(CPU).thread.get())
    kthread.kthread_stop(thread)
    put_task_struct(thread)
    cpu_up(CPU)


race.force(hold="stopper/2", at="parkme:completed", until=(creator, "stop:set"))
