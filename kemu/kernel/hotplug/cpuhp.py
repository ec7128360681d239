"""The line of hotplug states, and the callbacks on it.

Linux: include/linux/cpuhotplug.h and the first half of kernel/cpu.c (v4.13).
Not modelled: multi-instance states; states of subsystems that kemu does not have.

The startup callbacks from OFFLINE to ONLINE, one state at a time, bring a CPU up.  The
teardown callbacks, in reverse order, take it down.  These tasks run them:

    up to BRINGUP_CPU                    the control task, on another CPU; may sleep
    AP_IDLE_DEAD to AP_ONLINE            the CPU itself, interrupts off; must not fail
    TEARDOWN_CPU (down only)             the control task
    AP_ONLINE_IDLE to ONLINE             the CPU's own cpuhp/N thread; may sleep

    st.state     <- one step for each callback: by the task that runs the callback
    st.target    <- by the control task, before it starts the CPU or kicks cpuhp/N
    st.done      <- the CPU completes it and the control task waits for it, in strict
                    alternation: idle reached, dead, each kick of cpuhp/N
    steps        <- callbacks in shared memory: under the hotplug lock

Locks: none of its own.  Callers: cpu, cpuhp_thread, cpuhp_setup, audit, races.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from errno import EAGAIN, EBUSY, EIO, ENOSPC
from typing import Final

from kemu import native
from kemu.errors import MachineStopped
from kemu.kernel.own.system import system
from kemu.kernel.printk import printk
from kemu.kernel.sched.completion import Completion
from kemu.kernel.sched.schedule import ThreadEnds
from kemu.memory import functions
from kemu.memory.struct import Embedded, PerCPU, Struct, TaskRef, Word
from kemu.trace import events

MAX_ERRNO = 4095


class CpuhpState(IntEnum):
    """The states of Linux's enum cpuhp_state that kemu has."""

    CPUHP_OFFLINE = 0
    CPUHP_CREATE_THREADS = 1
    CPUHP_TIMERS_PREPARE = 2
    CPUHP_BP_PREPARE_DYN = 3
    CPUHP_BP_PREPARE_DYN_END = 9
    CPUHP_BRINGUP_CPU = 10
    CPUHP_AP_IDLE_DEAD = 11
    CPUHP_AP_OFFLINE = 12
    CPUHP_AP_SCHED_STARTING = 13
    CPUHP_AP_STARTING_DYN = 14
    CPUHP_AP_STARTING_DYN_END = 17
    CPUHP_AP_ONLINE = 18
    CPUHP_TEARDOWN_CPU = 19
    CPUHP_AP_ONLINE_IDLE = 20
    CPUHP_AP_SMPBOOT_THREADS = 21
    CPUHP_AP_ONLINE_DYN = 22
    CPUHP_AP_ONLINE_DYN_END = 37
    CPUHP_AP_ACTIVE = 38
    CPUHP_ONLINE = 39


S = CpuhpState
DYNAMIC = {S.CPUHP_BP_PREPARE_DYN: S.CPUHP_BP_PREPARE_DYN_END,
           S.CPUHP_AP_STARTING_DYN: S.CPUHP_AP_STARTING_DYN_END,
           S.CPUHP_AP_ONLINE_DYN: S.CPUHP_AP_ONLINE_DYN_END}

Callback = Callable[[int], int | None]


class CpuhpCpuState(PerCPU, keep=True):
    """struct cpuhp_cpu_state."""

    state: Final = Word()
    target: Final = Word()
    fail: Final = Word()    # a state, plus one
    thread: Final = TaskRef()
    should_run: Final = Word()
    rollback: Final = Word()
    single: Final = Word()
    bringup: Final = Word()
    cb_state: Final = Word()
    result: Final = Word()
    done: Final = Embedded(Completion)


class DynamicStep(Struct):
    """A registered pair of callbacks, in a form that every process can load."""

    name: Final = Word()    # a symbol
    startup: Final = Word()
    teardown: Final = Word()


class Steps(PerCPU, keep=True):
    """The dynamic steps, by state.  Only CPU 0's copy is used."""

    table: Final = Word()


@dataclass(frozen=True)
class CpuhpStep:
    """struct cpuhp_step."""

    name: str
    startup: Callback | None = None
    teardown: Callback | None = None


_static: dict[int, CpuhpStep] = {
    S.CPUHP_OFFLINE: CpuhpStep("offline"), S.CPUHP_AP_IDLE_DEAD: CpuhpStep("idle:dead"),
    S.CPUHP_AP_OFFLINE: CpuhpStep("ap:offline"), S.CPUHP_AP_ONLINE: CpuhpStep("ap:online"),
    S.CPUHP_AP_ONLINE_IDLE: CpuhpStep("ap:online:idle"), S.CPUHP_ONLINE: CpuhpStep("online"),
}


def set_static_step(state: CpuhpState, step: CpuhpStep) -> None:
    """Set callbacks of the kernel itself.  Each process calls this at import, with the same ones."""
    _static[state] = step


def _dynamic(state: int) -> DynamicStep | None:
    base = Steps.on(0).table.load()
    return DynamicStep(system.memory, base + DynamicStep.size * state) if base else None


def cpuhp_get_step(state: int) -> CpuhpStep | None:
    """The step of a state; None if the state has no callbacks."""
    if state in _static:
        return _static[state]
    step = _dynamic(state)
    if step is None or not step.name.load():
        return None
    startup, teardown = step.startup.load(), step.teardown.load()
    return CpuhpStep(system.memory.symbol_name(step.name.load()).removeprefix("cpuhp:"),
                     functions.load(startup) if startup else None,
                     functions.load(teardown) if teardown else None)


def cpuhp_store_callbacks(state: int, name: str, startup: Callback | None,
                          teardown: Callback | None) -> int:
    """Put callbacks at a state, or at a free state of a dynamic range.  Caller holds the hotplug lock.

    Returns the state, -EBUSY if it is taken, -ENOSPC if the range is full.
    """
    steps = Steps.on(0)
    if not steps.table.load():
        steps.table.store(system.memory.heap_alloc(DynamicStep.size * (S.CPUHP_ONLINE + 1)))
    last = DYNAMIC.get(CpuhpState(state), state) if state in set(S) else state
    for at in range(state, last + 1):
        step = _dynamic(at)
        assert step is not None
        if at not in _static and not step.name.load():
            step.startup.store(functions.publish(startup) if startup else 0)
            step.teardown.store(functions.publish(teardown) if teardown else 0)
            step.name.store(system.memory.symbol("cpuhp:" + name))
            return at
    return -ENOSPC if last > state else -EBUSY


def cpuhp_forget_callbacks(state: int) -> None:
    """Remove the state's callbacks.  Caller holds the hotplug lock."""
    step = _dynamic(state)
    if step is not None:
        step.name.store(0)


def is_dynamic(state: int) -> bool:
    """Whether callbacks can be registered at the state."""
    return any(first <= state <= last for first, last in DYNAMIC.items())


def cpuhp_is_ap_state(state: int) -> bool:
    """Whether the CPU runs the state's callbacks itself (teardown of TEARDOWN_CPU is the control task's)."""
    return state > S.CPUHP_BRINGUP_CPU and state != S.CPUHP_TEARDOWN_CPU


def cpuhp_is_atomic_state(state: int) -> bool:
    """Whether the state's callbacks run with interrupts off, and must not fail."""
    return S.CPUHP_AP_IDLE_DEAD <= state < S.CPUHP_AP_ONLINE


def cpuhp_invoke_callback(cpu: int, state: int, bringup: bool) -> int:
    """Run a state's startup or teardown.  Returns its result; 0 if the state does not have one.

    A callback that raises has failed: -EIO, and the traceback goes to the console.
    """
    st = CpuhpCpuState.on(cpu)
    step = cpuhp_get_step(state)
    if step is None:
        return 0
    if st.fail.load() == state + 1:
        st.fail.store(0)
        if step.startup or step.teardown:
            return -EAGAIN
    callback = step.startup if bringup else step.teardown
    if callback is None:
        return 0
    native.trace(events.CPUHP_ENTER, -1, cpu, st.target.load(), state)
    ret = _call(callback, cpu)
    native.trace(events.CPUHP_EXIT, -1, cpu, st.state.load() + events.STEP * state, ret)
    return ret


def _call(callback: Callback, cpu: int) -> int:
    locks, count = native.current().locks.load(), native.preempt_count()
    try:
        ret = int(callback(cpu) or 0)
        if not -MAX_ERRNO <= ret <= MAX_ERRNO:
            raise ValueError(f"the callback returned {ret!r:.40}: return 0, None or a negative errno")
        return ret
    except (MachineStopped, ThreadEnds):
        raise
    except BaseException as error:
        if (native.current().locks.load(), native.preempt_count()) != (locks, count):
            raise
        printk(f"cpuhp: callback {callback.__name__}({cpu}) raised:\n"
               + "".join(traceback.format_exception(error)))
        return -EIO
