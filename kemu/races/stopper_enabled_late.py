"""stopper-enabled-late: a CPU runs tasks before its stopper takes works.

Fix: 45178ac0cea8 (Linux 5.5), "cpu/hotplug, stop_machine: Fix stop_machine vs hotplug
order".  Linux: kernel/cpu.c.

Before: Linux 4.13 to 5.4.  The fix of unpark-from-idle (9cd4f1a4e7a8) opened the window.  CPU1 comes
up.  R is a kernel thread that last ran there, and that a wake-up takes there again as soon as CPU1
is online.

    CPU0 (control)                       CPU1                CPU2
    cpu_up(1)
                                         online, idle
                                         R runs
                                                             set_cpus_allowed_ptr(R, CPU2)
                                                               CPU1's stopper is not enabled:
                                                               not carried out, returns 0
    stop_machine_unpark(1)               R runs on

The control task enabled the stopper, some time after the CPU was online.
After, the CPU's idle task does so, before it does anything else.
"""

from __future__ import annotations

from typing import cast

import kemu
from kemu.kernel import cpu_stop, kthread, sched
from kemu.kernel.hotplug import cpu, cpuhp_thread
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.memory.views import Task
from kemu.harness.trial import Trial

race = kemu.Race(
    "stopper-enabled-late", cpus=4, placement=(0, 1, 0, 1), fix="45178ac0cea8",
    origin="released: Linux 4.13 to 5.4",
    title="set_cpus_allowed_ptr() on a CPU just online is not carried out, and says it was",
    names={"rescuer": "R"},
    labels={"start[control]": "cpu_up(1)", "online-idle[swapper/1]": "online, idle",
            "sched_switch[rescuer]": "R runs", "bringup:idle[control]": "wait is over",
            "start[mover]": "set_cpus_allowed_ptr(R, CPU2)", "cpu_stop_queue[mover]":
            "  stop_one_cpu(CPU{a}): accepted {b}", "moved[mover]": "returns 0: R is on its old CPU"},
    budget="jitter: a hit within 10 s")
race.witness("moved-in-bringup", "R ran on CPU1, and was to be moved, while the control task still "
             "brought CPU1 up")


@race.before(cpu.cpuhp_online_idle)
def cpuhp_online_idle(cpu: int) -> None:
    """Complete, and no more."""
    st = CpuhpCpuState.on(cpu)
    kemu.point("online-idle")
    st.state.store(CpuhpState.CPUHP_AP_ONLINE_IDLE)
    complete(st.done)


@race.before(cpu.bringup_wait_for_ap)
def bringup_wait_for_ap(cpu: int) -> int:
    """Enable the stopper here, and unpark the hotplug thread."""
    st = CpuhpCpuState.on(cpu)
    wait_for_completion(st.done)
    kemu.point("bringup:idle")
    cpu_stop.stop_machine_unpark(cpu)
    kthread.kthread_unpark(cast(Task, st.thread.get()))
    if st.target.load() <= CpuhpState.CPUHP_AP_ONLINE_IDLE:
        return 0
    return kick(st, st.target.load())


kick = cpuhp_thread.cpuhp_kick_ap


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    running = kemu.Word()
    stop = kemu.Word()
    left_behind = kemu.Word()
    refused = kemu.Word()       # set_cpus_allowed_ptr() has returned an error


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 0: R."""

    thread = kemu.TaskRef()


def rescue(data: None) -> int:
    """R: run while it is asked to, then sleep."""
    stage = Stage.on(0)
    while True:
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        sched.schedule()
        stage.running.store(1)
        while not stage.stop.load():
            sched.cpu_relax()


@race.setup
def create(t: Trial) -> None:
    """R's OS thread is in the process of CPU3, which runs nothing: so R takes turns with no task."""
    thread = kthread.kthread_create_on_node(rescue, None, -1, "rescuer", home=3)
    Subject.on(0).thread.set(thread)
    sched.wake_up_process(thread)


@race.prepare
def take_down(t: Trial) -> None:
    """R runs on CPU1 once, and sleeps there; then CPU1 goes down."""
    thread, stage = Subject.on(0).thread.get(), Stage.on(0)
    sched.wait_task_inactive(thread, 0)
    stage.stop.store(1)
    sched.set_cpus_allowed_ptr(thread, 0b010)
    sched.wake_up_process(thread)
    while not stage.running.load():
        sched.schedule_timeout_uninterruptible(1)
    sched.wait_task_inactive(thread, sched.TASK_INTERRUPTIBLE)
    sched.set_cpus_allowed_ptr(thread, 0b110)
    stage.running.store(0)
    stage.stop.store(0)
    cpu.cpu_down(1)


@race.actor(cpu=0)
def control(t: Trial) -> None:
    with t.window():
        cpu.cpu_up(1)


@race.actor(cpu=2)
def mover(t: Trial) -> None:
    thread, stage = Subject.on(0).thread.get(), Stage.on(0)
    with t.window():
        sched.wake_up_process(thread)
        while not stage.running.load():
            sched.schedule_timeout_uninterruptible(1)
        coming = CpuhpCpuState.on(1).state.load() < CpuhpState.CPUHP_ONLINE
        if coming and thread.cpu.load() == 1 and thread.on_cpu.load():
            t.witness("moved-in-bringup")
        ret = sched.set_cpus_allowed_ptr(thread, 0b100)
        stage.refused.store(int(ret != 0))
        stage.left_behind.store(int(not ret and thread.cpu.load() == 1))
        kemu.point("moved")
        stage.stop.store(1)


@race.invariant(at="quiescence")
def set_cpus_allowed_moves(t: Trial) -> None:
    """When set_cpus_allowed_ptr() has returned 0, the task is on none of the other CPUs."""
    assert not Stage.on(0).left_behind.load(), "the task runs on a CPU that its mask forbids"


@race.postcondition
def is_moved(t: Trial) -> None:
    """R sleeps on CPU2, and CPU1 is up."""
    thread = Subject.on(0).thread.get()
    assert not Stage.on(0).refused.load(), "set_cpus_allowed_ptr() has refused an online CPU"
    assert thread.cpus_allowed.load() == 0b100, f"R's mask is {thread.cpus_allowed.load():#b}"
    assert thread.cpu.load() == 2, f"R is on CPU{thread.cpu.load()}"
    assert sched.cpu_active(1), "CPU1 is not active after cpu_up(1)"


race.force(hold=mover, at="start", until=(control, "bringup:idle"))
race.force(hold=control, at="bringup:idle", until=(mover, "done"))
