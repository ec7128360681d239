"""stopper-enabled-late: a CPU runs tasks before its stopper takes works.

Fix: 45178ac0cea8 (Linux 5.5), "cpu/hotplug, stop_machine: Fix stop_machine vs hotplug
order".  Linux: kernel/cpu.c.  The window was made by seed 002's own fix.

CPU1 comes up.  R is a kernel thread that runs there as soon as it is online.

    CPU0 (control)                       CPU1                CPU2
    cpu_up(1)
                                         online, idle
                                         R runs
                                                             set_cpus_allowed_ptr(R, CPU2)
                                                               CPU1's stopper is not enabled:
                                                               not carried out, returns 0
    stop_machine_unpark(1)               R runs on

Before, the control task enabled the stopper, some time after the CPU was online.
After, the CPU's idle task does, first of all.
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
    "stopper-enabled-late", cpus=3, placement=(0, 1, 0), fix="45178ac0cea8",
    title="set_cpus_allowed_ptr() on a CPU just online is not carried out, and says it was",
    names={"rescuer": "R"},
    labels={"start[control]": "cpu_up(1)", "online-idle[swapper/1]": "online, idle",
            "sched_switch[rescuer]": "R runs", "bringup:idle[control]": "wait is over",
            "start[mover]": "set_cpus_allowed_ptr(R, CPU2)", "cpu_stop_queue[mover]":
            "  stop_one_cpu(CPU{a}): accepted {b}", "moved[mover]": "returns 0: R is on its old CPU"},
    budget="jitter: a hit within 10 s")


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
    Subject.on(0).thread.set(kthread.kthread_run(rescue, None, "rescuer"))


@race.prepare
def take_down(t: Trial) -> None:
    """R sleeps, last seen on CPU 1, which is down."""
    thread = Subject.on(0).thread.get()
    sched.wait_task_inactive(thread, 0)
    sched.do_set_cpus_allowed(thread, 0b110)
    thread.cpu.store(1)
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
        if not sched.set_cpus_allowed_ptr(thread, 0b100):
            stage.left_behind.store(int(thread.cpu.load() == 1))
            kemu.point("moved")
        stage.stop.store(1)


@race.invariant(at="quiescence")
def set_cpus_allowed_moves(t: Trial) -> None:
    """When set_cpus_allowed_ptr() has returned 0, the task is on none of the other CPUs."""
    assert not Stage.on(0).left_behind.load(), "the task runs on a CPU that its mask forbids"


race.force(hold=mover, at="start", until=(control, "bringup:idle"))
race.force(hold=control, at="bringup:idle", until=(mover, "done"))
