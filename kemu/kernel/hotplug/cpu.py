"""CPU hotplug: cpu_up, cpu_down, and which task or CPU does each part.

Linux: kernel/cpu.c (v4.13), kernel/sched/idle.c.  The states are in cpuhp.
Not modelled: freezing, SMT control, parallel bringup.  Later fixes in it:

* 4dddfb5faa61, 1db49484f21e, 96abb968549c (4.15): rollback is sound (cpuhp_thread), and a
  test can make a callback fail (cpuhp_setup);
* 3ae70c251f34 and 453e41085183 (5.11): a test cannot make a DEAD callback fail.  If one
  fails by itself, the kernel reports it, and the CPU goes down all the same;
* 45178ac0cea8 (5.5): a CPU's stopper takes works again before any other task can run on
  the CPU (exhibit stopper-enabled-late).

Up:   control   prepare callbacks, __cpu_up() ------>  start-up: STARTING callbacks, online
                wait(done)        <------------------  idle: stopper on, complete(done)
                unpark cpuhp/N, kick ---------------->  cpuhp/N: ONLINE callbacks
                wait(done)        <------------------  complete(done)
Down: control   kick ------------------------------->  cpuhp/N: ONLINE callbacks, backwards
                park cpuhp/N, stop_machine --------->  stopper: offline, DYING callbacks, park
                wait(done)        <-- by an IPI -----  idle: dead
                dead callbacks

Locks: cpu_hotplug_lock; inside it smpboot_threads_lock, then stop_cpus_mutex.
Callers: init, races; users, from any online CPU.
"""

from __future__ import annotations

from errno import EBUSY, ECANCELED, EINVAL
from typing import cast

from kemu.kernel.arch import __cpu_die, __cpu_up, play_dead
from kemu.kernel.cpu_stop import stop_machine_park, stop_machine_unpark
from kemu.kernel.cpumask import cpu_online, is_cpu, online_cpus
from kemu.kernel.hotplug.cpuhp import (CpuhpCpuState, CpuhpState as S, CpuhpStep,
                                       cpuhp_invoke_callback, set_static_step)
from kemu.kernel.hotplug.cpuhp_thread import (__cpuhp_kick_ap, cpuhp_kick_ap, cpuhp_reset_state,
                                              cpuhp_set_state)
from kemu.kernel.hotplug.lock import cpus_write
from kemu.kernel.hotplug.sched_cpu import (sched_cpu_activate, sched_cpu_deactivate,
                                           sched_cpu_dying, sched_cpu_starting)
from kemu.kernel.irq import flush_smp_call_function_queue, smp_call_function_single
from kemu.kernel.kthread import kthread_park, kthread_unpark
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.own.version import only_in
from kemu.kernel.panic import BUG, WARN
from kemu.kernel.printk import printk
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched.timer import timers_dead_cpu
from kemu.kernel.smpboot import smpboot_create_threads, smpboot_park_threads, smpboot_unpark_threads
from kemu.kernel.stop_machine import stop_machine_cpuslocked
from kemu.memory.views import Task
from kemu.native import local_irq_restore


# -- up -------------------------------------------------------------------------------

def bringup_cpu(cpu: int) -> int:
    """Start the CPU and bring it as far as asked.  Runs in the control task.  May sleep."""
    __cpu_up(cpu)
    return bringup_wait_for_ap(cpu)


def bringup_wait_for_ap(cpu: int) -> int:
    """The CPU idles: let its own thread take over.  Runs in the control task.  May sleep.

    The unpark may sleep (the thread may still be queued somewhere since it was parked),
    so the idle task must not do it (9cd4f1a4e7a8, 4.13).
    """
    st = CpuhpCpuState.on(cpu)
    wait_for_completion(st.done)
    point("bringup:idle")
    if not cpu_online(cpu):
        WARN(f"cpu{cpu} said it idles, and is not online")
        return -ECANCELED
    kthread_unpark(cast(Task, st.thread.get()))
    point("bringup:unparked")
    if st.target.load() <= S.CPUHP_AP_ONLINE_IDLE:
        return 0
    return cpuhp_kick_ap(st, st.target.load())


def notify_cpu_starting(cpu: int) -> None:
    """Run the STARTING callbacks.  Runs on the upcoming CPU, with interrupts off."""
    st = CpuhpCpuState.on(cpu)
    target = min(st.target.load(), S.CPUHP_AP_ONLINE)
    while st.state.load() < target:
        state = st.state.add(1)
        ret = cpuhp_invoke_callback(cpu, state, True)
        if ret:
            WARN(f"cpu{cpu}: STARTING callback of state {state} must not fail, returned {ret}")


def cpuhp_online_idle(cpu: int) -> None:
    """The upcoming CPU idles.  Runs in its idle task, which must not sleep.

    The stopper can be unparked here: it was the last thread to run on the CPU, so it
    is off its runqueue, and the unpark does not wait.
    """
    st = CpuhpCpuState.on(cpu)
    stop_machine_unpark(cpu)
    point("online-idle")
    st.state.store(S.CPUHP_AP_ONLINE_IDLE)
    complete(st.done)


def start_secondary(cpu: int) -> None:
    """Take a CPU from power-on to its idle loop.  Runs in its idle task, with interrupts off."""
    notify_cpu_starting(cpu)
    system.header.online_mask.set_bit(cpu)
    local_irq_restore(0)
    point("starting:online")
    cpuhp_online_idle(cpu)


def undo_cpu_up(cpu: int, st: CpuhpCpuState) -> None:
    """Go back to the target, through the teardowns of the states that were reached."""
    while st.state.add(-1) > st.target.load():
        cpuhp_invoke_callback(cpu, st.state.load(), False)


def cpuhp_up_callbacks(cpu: int, st: CpuhpCpuState, target: int) -> int:
    """Do the control task's part of the way up, and undo it if a callback fails.  May sleep."""
    prev_state = st.state.load()
    while st.state.load() < target:
        state = st.state.add(1)
        ret = cpuhp_invoke_callback(cpu, state, True)
        if ret:
            st.target.store(prev_state)
            undo_cpu_up(cpu, st)
            return ret
    return 0


def _cpu_up(cpu: int, target: int) -> int:
    st = CpuhpCpuState.on(cpu)
    with cpus_write():
        if st.state.load() >= target:
            return 0
        cpuhp_set_state(st, target)
        if st.state.load() > S.CPUHP_BRINGUP_CPU:
            ret = cpuhp_kick_ap(st, target)
            if ret:
                return ret
        return cpuhp_up_callbacks(cpu, st, min(target, S.CPUHP_BRINGUP_CPU))


def cpu_up(cpu: int, target: int = S.CPUHP_ONLINE) -> int:
    """Bring a CPU up, to ONLINE or to a state on the way.  May sleep.

    Returns 0, also if the CPU is there already; -EINVAL for a CPU or a target that does not
    exist.  If a callback fails, returns its result, and the CPU is in its old state again.
    """
    only_in("4.13", "kemu.kernel.v2_6.cpu")
    if not is_cpu(cpu) or not _is_target(target):
        return -EINVAL
    return _cpu_up(cpu, target)


# -- down -----------------------------------------------------------------------------

def take_cpu_down(cpu: int) -> int:
    """Take the CPU offline.  Runs on its stopper, with all CPUs stopped and interrupts off."""
    st = CpuhpCpuState.on(cpu)
    target = max(st.target.load(), S.CPUHP_AP_OFFLINE)
    system.header.online_mask.clear_bit(cpu)
    point("take-down:offline")
    if st.state.load() != S.CPUHP_TEARDOWN_CPU:
        WARN(f"cpu{cpu} is taken down from state {st.state.load()}")
    while st.state.add(-1) > target:
        ret = cpuhp_invoke_callback(cpu, st.state.load(), False)
        if ret:
            WARN(f"cpu{cpu}: DYING callback of state {st.state.load()} must not fail: {ret}")
    flush_smp_call_function_queue()
    stop_machine_park(cpu)
    return 0


def takedown_cpu(cpu: int) -> int:
    """Stop the machine to take the CPU out of it.  Runs in the control task.  May sleep."""
    st = CpuhpCpuState.on(cpu)
    thread = cast(Task, st.thread.get())
    kthread_park(thread)
    point("takedown:parked")
    err = stop_machine_cpuslocked(take_cpu_down, cpu, 1 << cpu)
    if err:
        kthread_unpark(thread)
        return err
    if cpu_online(cpu):
        BUG(f"cpu{cpu} is online after it was taken down")
    point("takedown:stopped")
    wait_for_completion(st.done)
    if st.state.load() != S.CPUHP_AP_IDLE_DEAD:
        BUG(f"cpu{cpu} is dead in state {st.state.load()}")
    __cpu_die(cpu)
    return 0


def cpuhp_complete_idle_dead(cpu: int) -> None:
    """Report to the control task that the CPU is dead.  Runs in an interrupt on an online CPU."""
    complete(CpuhpCpuState.on(cpu).done)


def cpuhp_report_idle_dead(cpu: int) -> None:
    """Have an online CPU report that this CPU is dead.  Runs in the dying CPU's idle task.

    A CPU that is offline may not wake a task, so an online CPU wakes the control task instead.
    """
    st = CpuhpCpuState.on(cpu)
    if st.state.load() != S.CPUHP_AP_OFFLINE:
        BUG(f"cpu{cpu} reports itself dead in state {st.state.load()}")
    st.state.store(S.CPUHP_AP_IDLE_DEAD)
    point("idle-dead:noted")
    smp_call_function_single(online_cpus()[0], cpuhp_complete_idle_dead, cpu, False)


def cpuhp_down_callbacks(cpu: int, st: CpuhpCpuState, target: int) -> int:
    """Do the control task's part of the way down.  May sleep.

    A dead CPU cannot go back up: if a callback fails after that, the kernel only reports it.
    """
    while st.state.load() > target:
        state = st.state.load()
        ret = cpuhp_invoke_callback(cpu, state, False)
        if ret and state >= S.CPUHP_TEARDOWN_CPU:
            return ret
        if ret:
            printk(f"DEAD callback error for CPU{cpu}, state {state}: {ret}")
        st.state.add(-1)
    return 0


def _cpu_down(cpu: int, target: int) -> int:
    st = CpuhpCpuState.on(cpu)
    with cpus_write():
        if len(online_cpus()) == 1:
            return -EBUSY
        if st.state.load() <= target:
            return 0
        prev_state = cpuhp_set_state(st, target)
        if st.state.load() > S.CPUHP_TEARDOWN_CPU:
            ret = cpuhp_kick_ap(st, max(target, S.CPUHP_TEARDOWN_CPU))
            if ret or st.state.load() > S.CPUHP_TEARDOWN_CPU:
                return ret
            st.target.store(target)
        ret = cpuhp_down_callbacks(cpu, st, target)
        if ret and st.state.load() == S.CPUHP_TEARDOWN_CPU and st.state.load() < prev_state:
            cpuhp_reset_state(st, prev_state)
            __cpuhp_kick_ap(st)
        return ret


def cpu_down(cpu: int, target: int = S.CPUHP_OFFLINE) -> int:
    """Take a CPU down, to OFFLINE or to a state on the way.  May sleep.

    Returns 0, also if the CPU is there or below already; -EBUSY while only one CPU is online,
    whichever CPU is asked for; -EINVAL for a CPU or a target that does not exist.  If a callback
    fails, returns its result, and the CPU is in its old state again.  A task that takes its own
    CPU down continues on another CPU.
    """
    only_in("4.13", "kemu.kernel.v2_6.cpu")
    if not is_cpu(cpu) or not _is_target(target):
        return -EINVAL
    return _cpu_down(cpu, target)


def _is_target(target: object) -> bool:
    """Whether a CPU can stay in the state: the state is outside the atomic zone."""
    return (isinstance(target, int) and S.CPUHP_OFFLINE <= target <= S.CPUHP_ONLINE
            and not S.CPUHP_BRINGUP_CPU <= target <= S.CPUHP_TEARDOWN_CPU)


def arch_cpu_idle_dead(cpu: int) -> None:
    """The idle loop found its CPU offline (Linux: do_idle)."""
    cpuhp_report_idle_dead(cpu)
    play_dead(cpu)
    start_secondary(cpu)


set_static_step(S.CPUHP_CREATE_THREADS, CpuhpStep("threads:prepare", smpboot_create_threads))
set_static_step(S.CPUHP_TIMERS_PREPARE, CpuhpStep("timers:dead", None, timers_dead_cpu))
set_static_step(S.CPUHP_BRINGUP_CPU, CpuhpStep("cpu:bringup", bringup_cpu))
set_static_step(S.CPUHP_AP_SCHED_STARTING,
                CpuhpStep("sched:starting", sched_cpu_starting, sched_cpu_dying))
set_static_step(S.CPUHP_TEARDOWN_CPU, CpuhpStep("cpu:teardown", None, takedown_cpu))
set_static_step(S.CPUHP_AP_SMPBOOT_THREADS,
                CpuhpStep("smpboot/threads:online", smpboot_unpark_threads, smpboot_park_threads))
set_static_step(S.CPUHP_AP_ACTIVE,
                CpuhpStep("sched:active", sched_cpu_activate, sched_cpu_deactivate))


def boot_cpu_init(cpu: int) -> None:
    """Mark the boot CPU as up: no hotplug brought it up (Linux: boot_cpu_init, boot_cpu_state_init)."""
    CpuhpCpuState.on(cpu).state.store(S.CPUHP_ONLINE)
    CpuhpCpuState.on(cpu).target.store(S.CPUHP_ONLINE)
