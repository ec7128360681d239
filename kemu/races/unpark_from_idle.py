"""unpark-from-idle: the idle task of an upcoming CPU sleeps.

Fix: 9cd4f1a4e7a8 (Linux 4.13), "smp/hotplug: Move unparking of percpu threads to the
control CPU".  Linux: kernel/cpu.c.

Before: Linux 4.6 to 4.12.  T is cpuhp/1, the hotplug thread of CPU1, which goes down and comes up
again.

    CPU0 (control, and a FIFO hog)       CPU1
    cpu_down(1): park(T)
                                         T: complete(parked), and is preempted
    stop_machine()
                                         T is still queued: pushed to CPU0, behind the hog
                                         dead
    cpu_up(1)
                                         idle: unpark(T): T is queued, wait a tick:
                                           schedule() with preemption off

The idle task of the upcoming CPU unparked the CPU's threads, and unpark may sleep.
After, the idle task only completes, and the control task unparks them.

Without a script, T must stand still between its complete() and its schedule() for as long as
CPU0 takes from there to the stopper's wake-up.  That is several hundred microseconds, and
jitter's longest delays last as long.  The hog keeps T queued from then on.
"""

from __future__ import annotations

from typing import cast

import kemu
from kemu.kernel import cpu_stop, kthread, sched
from kemu.kernel.hotplug import cpu
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.memory.views import Task
from kemu.harness.trial import Trial

race = kemu.Race(
    "unpark-from-idle", cpus=2, fix="9cd4f1a4e7a8", origin="released: Linux 4.6 to 4.12",
    title="the idle task of an upcoming CPU unparks a thread that is still queued, and sleeps",
    expects="scheduling while atomic: swapper/1/0/0x00000002", names={"cpuhp/1": "T"},
    labels={"start[control]": "cpu_down(1)", "kthread_park[cpuhp/1]": "  park(T)",
            "parkme:completed[cpuhp/1]": "T: complete(parked), preempted",
            "sched_migrate_task[cpuhp/1]": "T is pushed to CPU{c}", "down[control]": "cpu_up(1)",
            "kthread_unpark[swapper/1]": "idle: unpark(T)",
            "sched_wait_task[cpuhp/1]": "  T is still queued: wait a tick",
            "kemu_panic": "BUG: scheduling while atomic"},
    budget="jitter: a hit within 10 s; free: expected UNKNOWN, nothing delays T for that long")
race.witness("pushed-away", "CPU1 came up when T, which had said that it is parked, was queued on CPU0")


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    over = kemu.Word()


@race.before(cpu.cpuhp_online_idle)
def cpuhp_online_idle(cpu: int) -> None:
    """Unpark the CPU's threads here, in its idle task."""
    st = CpuhpCpuState.on(cpu)
    st.state.store(CpuhpState.CPUHP_AP_ONLINE_IDLE)
    cpu_stop.stop_machine_unpark(cpu)
    thread = cast(Task, st.thread.get())
    kthread.kthread_unpark(thread)
    if st.target.load() > CpuhpState.CPUHP_AP_ONLINE_IDLE:
        st.bringup.store(1)
        st.result.store(0)
        st.should_run.store_release(1)
        sched.wake_up_process(thread)
    else:
        complete(st.done)


@race.before(cpu.bringup_wait_for_ap)
def bringup_wait_for_ap(cpu: int) -> int:
    """Wait until the CPU has brought itself fully up."""
    st = CpuhpCpuState.on(cpu)
    wait_for_completion(st.done)
    result: int = st.result.load()
    return result


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 0: the hog."""

    hog = kemu.TaskRef()
    control = kemu.TaskRef()


def keep_busy(data: None) -> int:
    """Keep T off CPU0 until the control task, which may sleep, waits for it."""
    me, stage = Subject.on(0), Stage.on(0)
    thread = CpuhpCpuState.on(1).thread.get()
    while True:
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()
        control = me.control.get()
        while not stage.over.load() and not (
                control.waits_for.load() == thread.ref
                and thread.state.load() == sched.TASK_PARKED):
            sched.cpu_relax()


@race.setup
def create(t: Trial) -> None:
    hog = kthread.kthread_create(keep_busy, None, "hog")
    kthread.kthread_bind(hog, 0)
    sched.sched_setscheduler(hog, sched.SCHED_FIFO, 10)
    sched.wake_up_process(hog)
    Subject.on(0).hog.set(hog)
    Subject.on(0).control.set(t.task(control))


@race.actor(cpu=0)
def control(t: Trial) -> None:
    me = sched.current()
    with t.window():
        sched.sched_setscheduler(me, sched.SCHED_FIFO, 50)
        sched.wake_up_process(Subject.on(0).hog.get())
        cpu.cpu_down(1)
        kemu.point("down")
        thread = CpuhpCpuState.on(1).thread.get()
        if thread.on_rq.load() and thread.cpu.load() == 0:
            t.witness("pushed-away")
        cpu.cpu_up(1)
        Stage.on(0).over.store(1)
        sched.sched_setscheduler(me, sched.SCHED_NORMAL)


@race.postcondition
def cpu_is_up(t: Trial) -> None:
    """CPU1 is online and active, and its hotplug thread waits for work there."""
    thread = CpuhpCpuState.on(1).thread.get()
    assert sched.cpu_active(1), "CPU1 is not active after cpu_up(1)"
    assert thread.cpus_allowed.load() == 0b10, f"T's mask is {thread.cpus_allowed.load():#b}"
    assert thread.state.load() == sched.TASK_INTERRUPTIBLE, "T does not wait for work in its loop"


race.force(hold="cpuhp/1", at="parkme:completed", until=("migration/1", "stopper:empty"),
           kind="preemptible")
