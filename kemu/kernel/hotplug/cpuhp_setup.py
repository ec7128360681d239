"""Hotplug callbacks of a user, and a way to make a callback fail.

Linux: kernel/cpu.c (__cpuhp_setup_state, __cpuhp_remove_state, write_cpuhp_fail).

    state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "mine", startup, teardown)

runs startup(cpu) on every CPU that is past the state, and later on each CPU that comes up;
teardown(cpu) on each CPU that goes down.  A dynamic state gets the first free number of its
range.

Locks: the hotplug lock, for reading as in Linux; inside it a mutex of its own.  Callers: audit; users.
"""

from __future__ import annotations

from errno import EINVAL
from typing import Final

from kemu.kernel.hotplug.cpuhp import (Callback, CpuhpCpuState, CpuhpState, cpuhp_forget_callbacks,
                                       cpuhp_get_step, cpuhp_invoke_callback, cpuhp_is_ap_state,
                                       cpuhp_is_atomic_state, cpuhp_store_callbacks, is_dynamic)
from kemu.kernel.hotplug.cpuhp_thread import cpuhp_invoke_ap_callback
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.sched.runqueue import runqueues
from kemu.memory.struct import Embedded, PerCPU


class CpuhpStateMutex(PerCPU, keep=True):
    """The mutex of registrations.  Only CPU 0's copy is used."""

    mutex: Final = Embedded(Mutex)


def _issue_call(cpu: int, state: int, bringup: bool) -> int:
    """Run one callback where it belongs.  Caller holds the hotplug lock.  May sleep."""
    if cpuhp_is_ap_state(state) and not cpuhp_is_atomic_state(state):
        return cpuhp_invoke_ap_callback(cpu, state, bringup)
    return cpuhp_invoke_callback(cpu, state, bringup)


def _cpus_past(state: int) -> list[int]:
    return [cpu for cpu in range(len(runqueues)) if CpuhpCpuState.on(cpu).state.load() >= state]


def cpuhp_setup_state(state: int, name: str, startup: Callback | None,
                      teardown: Callback | None, invoke: bool = True) -> int:
    """Register callbacks.  May sleep.

    Returns the state, or a negative errno: -EINVAL if the state takes no callbacks; -EBUSY if the
    state is taken; -ENOSPC if its range is full.  If a startup fails, returns its result, after
    the teardown has run on the CPUs where the startup had succeeded.
    """
    if not isinstance(state, int) or not is_dynamic(state) or not name:
        return -EINVAL
    with cpus_read(), CpuhpStateMutex.on(0).mutex:
        at = cpuhp_store_callbacks(state, name, startup, teardown)
        if at < 0 or not invoke or startup is None:
            return at
        done: list[int] = []
        for cpu in _cpus_past(at):
            ret = _issue_call(cpu, at, True)
            if ret:
                for undo in done:
                    _issue_call(undo, at, False)
                cpuhp_forget_callbacks(at)
                return ret
            done.append(cpu)
        return at


def cpuhp_remove_state(state: int, invoke: bool = True) -> int:
    """Unregister, after running the teardown on every CPU past the state.  May sleep.

    Returns 0, or -EINVAL if no user's callbacks are registered there.
    """
    if not isinstance(state, int) or not is_dynamic(state) or cpuhp_get_step(state) is None:
        return -EINVAL
    with cpus_read(), CpuhpStateMutex.on(0).mutex:
        for cpu in _cpus_past(state) if invoke else []:
            _issue_call(cpu, state, False)
        cpuhp_forget_callbacks(state)
    return 0


def cpuhp_set_fail(cpu: int, state: int) -> int:
    """Make that CPU's callback of the state fail once, with -EAGAIN (Linux: the file "fail").

    Returns 0.  Returns -EINVAL for a state without callbacks and for a state that must not fail;
    while the CPU is up, also for a state whose teardown runs after the CPU is dead.
    """
    if not 0 <= cpu < len(runqueues) or not 0 < state <= CpuhpState.CPUHP_ONLINE:
        return -EINVAL
    st = CpuhpCpuState.on(cpu)
    dead_zone = (state <= CpuhpState.CPUHP_BRINGUP_CPU
                 and st.state.load() > CpuhpState.CPUHP_BRINGUP_CPU)
    step = cpuhp_get_step(state)
    if step is None or cpuhp_is_atomic_state(state) or dead_zone:
        return -EINVAL
    if step.startup is None and step.teardown is None:
        return -EINVAL
    st.fail.store(state + 1)
    return 0


def cpuhp_states() -> dict[int, str]:
    """Every state that has a name, lowest first (Linux: /sys/devices/system/cpu/hotplug/states)."""
    steps = {state: cpuhp_get_step(state) for state in range(CpuhpState.CPUHP_ONLINE + 1)}
    return {state: step.name for state, step in steps.items() if step is not None}
