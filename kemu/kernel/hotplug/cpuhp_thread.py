"""cpuhp/N: the thread that runs a CPU's own part of the hotplug states.

Linux: kernel/cpu.c (cpuhp_thread_fun, cpuhp_kick_ap and their helpers).  Later fixes in it:
rollback as of 4.15 (4dddfb5faa61, 96abb968549c); empty states are stepped over at once, as
of 5.11 (453e41085183).

The control task kicks the thread and waits.  At most one kick is under way at a time.

Locks: none of its own; the control task holds the hotplug lock.
Callers: cpu, cpuhp_setup, init, races.
"""

from __future__ import annotations

from typing import Final, cast

from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug.cpuhp import (CpuhpCpuState, cpuhp_get_step, cpuhp_invoke_callback,
                                       cpuhp_is_atomic_state)
from kemu.kernel.kthread import kthread_unpark
from kemu.kernel.own.hung import waiting_for
from kemu.kernel.own.point import point
from kemu.kernel.panic import WARN
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.smpboot import SmpHotplugThread, smpboot_register_percpu_thread
from kemu.memory.views import Task
from kemu.native import local_irq_restore, local_irq_save, smp_processor_id


def cpuhp_should_run(cpu: int) -> bool:
    return bool(CpuhpCpuState.on(cpu).should_run.load())


def cpuhp_thread_fun(cpu: int) -> None:
    """One callback per call, until the target is reached or one fails.  Runs on cpuhp/N."""
    st = CpuhpCpuState.on(cpu)
    if not st.should_run.load_acquire():
        WARN(f"cpuhp/{cpu} runs, and should_run is not set: only the control task may wake it")
        return
    point("cpuhp:runs")
    bringup = bool(st.bringup.load())
    if st.single.load():
        state = st.cb_state.load()
        st.should_run.store(0)
    else:
        state = cpuhp_next_state(st, bringup)
    result = _invoke_on_ap(cpu, state, bringup)
    point("cpuhp:ran")
    st.result.store(result)
    if result:
        if st.rollback.load():
            WARN(f"cpuhp/{cpu}: state {state} failed ({result}) while rolling back")
        st.should_run.store(0)
    if not st.should_run.load():
        complete(st.done)


def cpuhp_next_state(st: CpuhpCpuState, bringup: bool) -> int:
    """Step over states without callbacks to the next state that has some; note if it is the last.

    As of 5.11: v4.13 calls the thread function for each empty state too (453e41085183).
    """
    target, at = st.target.load(), st.state.load()
    state = at
    while at != target:
        state = at + 1 if bringup else at
        at += 1 if bringup else -1
        if cpuhp_get_step(state) is not None:
            break
    st.state.store(at)
    st.should_run.store(int(at != target))
    return state


def _invoke_on_ap(cpu: int, state: int, bringup: bool) -> int:
    if not cpuhp_is_atomic_state(state):
        return cpuhp_invoke_callback(cpu, state, bringup)
    flags = local_irq_save()
    result = cpuhp_invoke_callback(cpu, state, bringup)
    local_irq_restore(flags)
    if result:
        WARN(f"cpuhp/{cpu}: state {state} must not fail, and returned {result}")
    return result


def cpuhp_set_state(st: CpuhpCpuState, target: int) -> int:
    """Set a new target.  Returns the state that the CPU is in."""
    prev_state: int = st.state.load()
    st.rollback.store(0)
    st.target.store(target)
    st.single.store(0)
    st.bringup.store(int(prev_state < target))
    return prev_state


def cpuhp_reset_state(st: CpuhpCpuState, prev_state: int) -> None:
    """Turn around: the callback that failed counts as not run."""
    st.rollback.store(1)
    st.state.add(-1 if st.bringup.load() else 1)
    st.target.store(prev_state)
    st.bringup.store(int(not st.bringup.load()))


def __cpuhp_kick_ap(st: CpuhpCpuState) -> None:
    """Have cpuhp/N run to the target, and wait.  May sleep."""
    if not st.single.load() and st.state.load() == st.target.load():
        return
    st.result.store(0)
    st.should_run.store_release(1)
    point("cpuhp:asked")
    thread = cast(Task, st.thread.get())
    wake_up_process(thread)
    with waiting_for(thread, "cpu hotplug"):
        wait_for_completion(st.done)


def cpuhp_kick_ap(st: CpuhpCpuState, target: int) -> int:
    """Bring the CPU to a state through its own thread, and back again if that fails.  May sleep."""
    prev_state = cpuhp_set_state(st, target)
    __cpuhp_kick_ap(st)
    ret: int = st.result.load()
    if ret:
        cpuhp_reset_state(st, prev_state)
        __cpuhp_kick_ap(st)
    return ret


def cpuhp_invoke_ap_callback(cpu: int, state: int, bringup: bool) -> int:
    """Run one callback on an online CPU's thread.  May sleep."""
    st = CpuhpCpuState.on(cpu)
    if not cpu_online(cpu):
        return 0
    st.rollback.store(0)
    st.bringup.store(int(bringup))
    st.cb_state.store(state)
    st.single.store(1)
    __cpuhp_kick_ap(st)
    st.single.store(0)
    ret: int = st.result.load()
    return ret


cpuhp_threads: Final = SmpHotplugThread("cpuhp/%u", cpuhp_should_run, cpuhp_thread_fun,
                                 selfparking=True, store=CpuhpCpuState)


def cpuhp_threads_init() -> None:
    """Start the boot CPU's hotplug thread.  Runs on the boot CPU.  May sleep."""
    smpboot_register_percpu_thread(cpuhp_threads)
    kthread_unpark(cast(Task, CpuhpCpuState.on(smp_processor_id()).thread.get()))
