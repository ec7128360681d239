"""The invariants of hotplug, stoppers and per-CPU threads at rest (S45 to S67).

kemu's own.  While a task audits, no CPU comes or goes, and no callbacks are registered: a registration
runs them on the CPUs' own threads, with the hotplug lock held for reading only.

Locks: the hotplug lock, for reading; inside it the mutex of registrations.  Callers: init.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu.kernel import kthread
from kemu.kernel.cpu_stop import CpuStopper
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import CpuhpStateMutex
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import STOP, runqueues
from kemu.kernel.smpboot import registered_threads


def _audit_masks() -> Iterator[str]:
    header = system.header
    active, online = header.active_mask.load(), header.online_mask.load()
    present, possible = header.present_mask.load(), header.possible_mask.load()
    if active & ~online or online & ~present or present & ~possible:
        yield (f"S60: active {active:#x}, online {online:#x}, present {present:#x}, "
               f"possible {possible:#x}")


def _audit_cpu(cpu: int) -> Iterator[str]:
    st, stopper, online = CpuhpCpuState.on(cpu), CpuStopper.on(cpu), cpu_online(cpu)
    if online != (st.state.load() >= CpuhpState.CPUHP_AP_ONLINE):
        yield f"S66: cpu{cpu} is {'online' if online else 'offline'} in state {st.state.load()}"
    if st.state.load() != st.target.load():
        yield f"S66: cpu{cpu} rests in state {st.state.load()}, its target is {st.target.load()}"
    if st.done.done.load():
        yield f"S67: cpu{cpu}'s completion counts {st.done.done.load()} at rest"
    if not online and (stopper.enabled.load() or not stopper.works.empty()):
        yield f"S51: the stopper of dead cpu{cpu} is enabled, or has works"
    if online and not stopper.enabled.load():
        yield f"S58: the stopper of cpu{cpu}, which is online, is not enabled"
    yield from _audit_stop_task(cpu, stopper)
    if not online and runqueues[cpu].nr_running.load():
        yield f"S63: dead cpu{cpu} has {runqueues[cpu].nr_running.load()} tasks queued"
    if not online and not runqueues[cpu].timers.empty():
        yield f"S64: dead cpu{cpu} has timers"


def _audit_stop_task(cpu: int, stopper: CpuStopper) -> Iterator[str]:
    """S57: a stopper that takes works is its CPU's stop task, in the stop class.

    An operation that gives the CPU another stop task puts the stopper into the FIFO class.
    """
    thread, stop = stopper.thread.get(), system.tasks.get(runqueues[cpu].stop.load())
    if stopper.enabled.load() and (thread is None or stop != thread or thread.sched_class.load() != STOP):
        yield f"S57: cpu{cpu}'s stopper is {thread}, and its stop task is {stop}"


def _audit_threads(cpu: int) -> Iterator[str]:
    """S45: at rest the threads of an online CPU are not parked; the threads of other CPUs are parked."""
    up = CpuhpCpuState.on(cpu).state.load() >= CpuhpState.CPUHP_AP_SMPBOOT_THREADS
    for name, thread, selfparking in registered_threads(cpu):
        if thread is None:
            if cpu_online(cpu):
                yield f"S45: {name} has no thread on cpu{cpu}"
            continue
        flags = kthread.to_kthread(thread).flags
        asked = flags.test_bit(kthread.KTHREAD_SHOULD_PARK)
        if not selfparking and asked == up:
            yield (f"S45: {thread} is {'' if asked else 'not '}asked to park, and cpu{cpu} is in "
                   f"state {CpuhpCpuState.on(cpu).state.load()}")


def audit_hotplug() -> list[str]:
    """Every violation, in words; empty if there is none.  May sleep."""
    found: list[str] = []
    with cpus_read(), CpuhpStateMutex.on(0).mutex:
        found += _audit_masks()
        for cpu in range(len(runqueues)):
            found += _audit_cpu(cpu)
            found += _audit_threads(cpu)
    return found
