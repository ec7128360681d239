"""Workloads that register callbacks of hotplug, and works that nobody waits for, while CPUs come and go.

    states    cpuhp_setup_state() and cpuhp_remove_state(): each CPU that is online has had the startup,
              and no other one; a startup that refuses leaves none (4.13)
    notifier  register_cpu_notifier(): what a CPU was last said to be, it is (2.6.6)
    nowait    stop_one_cpu_nowait(): a work that was queued runs, once (4.13)
    herd      try_stop_cpus(): it runs on every CPU of the mask, or nowhere (4.13)

Each workload's registration is the machine's only one, so its workers take turns.

    Told.mutex    <- CPU 0's: held by the worker whose turn it is
    Told.up       <- +1 at a startup, -1 at a teardown; 2.6.6: UP or DOWN: by the callback
    Told.refuse   <- 1: the startup that a registration calls on this CPU is to refuse: by the worker
    Nowait.ran    <- completed by the work, on the CPU

kemu's own.  Locks: Told.mutex, outside the hotplug lock.  Callers: workloads.
"""

from __future__ import annotations

from errno import EAGAIN
from typing import Final

from kemu.kernel import sched
from kemu.kernel.cpu_stop import CpuStopWork, stop_one_cpu_nowait
from kemu.kernel.cpumask import cpu_online, online_cpus
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_remove_state, cpuhp_setup_state
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import (Completion, complete, completion_done, init_completion,
                                          try_wait_for_completion, wait_for_completion)
from kemu.kernel.stop_machine import stop_machine_from_inactive_cpu, try_stop_cpus
from kemu.kernel.v2_6.cpu import register_cpu_notifier, unregister_cpu_notifier
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.notifier import CPU_DEAD, CPU_ONLINE, NOTIFY_OK
from kemu.memory.struct import Embedded, PerCPU, Struct, Word
from kemu.torture.worker import Turn

UP, DOWN = 1, 2
REFUSALS = 3                # one registration in so many is refused
LOOKS = 20                  # how often a worker looks before it unregisters


class Told(PerCPU, keep=True):
    """Of each CPU: what the callbacks were told; and the mutex, which is CPU 0's."""

    mutex: Final = Embedded(Mutex)
    up: Final = Word()
    refuse: Final = Word()


def _nothing(data: int) -> int:
    return 0


def _started(cpu: int) -> int:
    """A startup.  On a CPU that comes up it stops the other CPUs too, as a driver may there."""
    told = Told.on(cpu)
    if CpuhpCpuState.on(cpu).single.load():
        if told.refuse.load():
            return -EAGAIN
    else:
        sched.preempt_disable()
        stop_machine_from_inactive_cpu(_nothing)
        sched.preempt_enable()
    told.up.add(1)
    return 0


def _stopped(cpu: int) -> int:
    Told.on(cpu).up.add(-1)
    return 0


def _counts() -> list[int]:
    return [Told.on(cpu).up.load() for cpu in range(system.nr_cpus)]


def _startups_are_those_of_online_cpus() -> None:
    """With the hotplug lock held, so that the CPUs stay as they are."""
    with cpus_read():
        online, counts = online_cpus(), _counts()
        assert counts == [int(cpu in online) for cpu in range(system.nr_cpus)], (
            f"startups less teardowns are {counts}, and the CPUs {online} are online")


def states(t: Turn) -> None:
    """Register callbacks of hotplug, and remove them: each online CPU must have had the startup."""
    while t.going():
        with Told.on(0).mutex:
            refuse = Told.on(t.draw.randrange(system.nr_cpus)).refuse
            refuse.store(int(not t.draw.randrange(REFUSALS)))
            state = cpuhp_setup_state(CpuhpState.CPUHP_AP_ONLINE_DYN, "torture", _started, _stopped)
            if state > 0:
                for _ in range(LOOKS):
                    _startups_are_those_of_online_cpus()
                    sched.cond_resched()
                assert cpuhp_remove_state(state) == 0
            else:
                assert (state, refuse.load()) == (-EAGAIN, 1), f"cpuhp_setup_state() returned {state}"
            refuse.store(0)
            assert not any(_counts()), (
                f"S65: nothing is registered, and startups less teardowns are {_counts()}")
        t.did()


def _heard(action: int, cpu: int) -> int:
    if action in (CPU_ONLINE, CPU_DEAD):
        Told.on(cpu).up.store(UP if action == CPU_ONLINE else DOWN)
    return NOTIFY_OK


def notifier(t: Turn) -> None:
    """Register a notifier of hotplug, and unregister it: what it was told last must be so."""
    while t.going():
        with Told.on(0).mutex:
            for cpu in range(system.nr_cpus):
                Told.on(cpu).up.store(0)
            register_cpu_notifier(_heard)
            for _ in range(LOOKS):
                with cpu_hotplug_locked():
                    for cpu, said in enumerate(_counts()):
                        assert not said or (said == UP) == cpu_online(cpu), (
                            f"cpu{cpu} was last said to be {'up' if said == UP else 'down'}, and is not")
                sched.cond_resched()
            unregister_cpu_notifier(_heard)
        t.did()


class Nowait(Struct):
    """A work, and the event that it has run."""

    work: Final = Embedded(CpuStopWork)
    ran: Final = Embedded(Completion)


def _ran(base: int) -> int:
    complete(Nowait.at(system.memory, base).ran)
    return 0


def nowait(t: Turn) -> None:
    """Have a CPU run a work, and do not wait in the call: a work that was queued runs, once."""
    one = Nowait.alloc()
    while t.going():
        cpu = t.draw.randrange(system.nr_cpus)
        init_completion(one.ran)
        if stop_one_cpu_nowait(cpu, _ran, one.base, one.work):
            if t.draw.randrange(2):
                wait_for_completion(one.ran)
            else:
                while not try_wait_for_completion(one.ran):
                    sched.cpu_relax()
        assert not completion_done(one.ran), f"the work on cpu{cpu} ran twice, or was refused and ran"
        t.did()
    one.free()


def _counted(base: int) -> int:
    Herd.at(system.memory, base).ran.add(1)
    return 0


class Herd(Struct):
    """How many CPUs have run the function."""

    ran: Final = Word()


def herd(t: Turn) -> None:
    """Stop all CPUs that are online, unless another task does: the function runs on each, or on none."""
    count = Herd.alloc()
    while t.going():
        with cpus_read():
            count.ran.store(0)
            wanted = len(online_cpus())
            ret = try_stop_cpus(sum(1 << cpu for cpu in online_cpus()), _counted, count.base)
        assert (ret, count.ran.load()) in ((0, wanted), (-EAGAIN, 0)), (
            f"try_stop_cpus() returned {ret}, and {count.ran.load()} of {wanted} CPUs ran the function")
        sched.cond_resched()        # nothing else here lets another task run, if the answer is -EAGAIN
        t.did()
    count.free()
