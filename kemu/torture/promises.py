"""Workloads that assert, in each round, what a kernel function promised them.

    repark  kthread_park() that returned 0 means a thread that sleeps parked, also right after
            an unpark (S21)
    bind    the CPU that kthread_bind() gave a thread stays its only one, whoever sets its mask (S30)
    roam    a task that set_cpus_allowed_ptr() has moved is on a CPU of its mask, also when
            it was woken on a CPU that just came up, unless a CPU went down meanwhile

An assertion that fails ends the run.  Each asserts what holds however slowly the host runs.

    Meddling.thread  <- the thread that is being bound: by the workload, while open is 0
    Meddling.open    <- 1: the meddler may touch the thread; the workload stores 0 (full barrier), and
                        waits until busy is 0, before it lets the thread go
    Meddling.busy    <- 1 (full barrier) from before the meddler reads open until it is done
    Roaming.halt     <- 1: the roamer is to sleep: by the workload
    Roaming.awake    <- completed by the roamer each time that it has begun to run

kemu's own; the ideas are those of the exhibits stale-is-parked, bind-loses-mask and
stopper-enabled-late.  Locks: none.  Callers: workloads.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from kemu.kernel import kthread, sched
from kemu.kernel.cpumask import cpu_online, cpumask_of, for_each_cpu, online_cpus
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.migration import sched_setaffinity
from kemu.kernel.sched.state import PF_NO_SETAFFINITY
from kemu.memory.struct import Embedded, Struct, TaskRef, Word
from kemu.memory.views import Task
from kemu.native import now_ns
from kemu.torture.partner import partner
from kemu.torture.worker import Turn

PATIENCE_NS = 50_000_000        # how long `roam` waits for a CPU to go down, and to come up


def repark(t: Turn) -> None:
    """Park a per-CPU thread at once after its unpark: each park must leave it parked."""
    k = kthread.kthread_create_on_cpu(partner, None, t.draw.choice(online_cpus()), "resident/%u")
    while t.going():
        kthread.kthread_unpark(k)
        if t.draw.randrange(2):
            sched.cond_resched()
        kthread.kthread_park(k)
        assert kthread.to_kthread(k).flags.test_bit(kthread.KTHREAD_SHOULD_PARK), (
            f"S21: kthread_park() has returned 0, and {k} is not asked to park")
        assert sched.wait_task_inactive(k, sched.TASK_PARKED), (
            f"S21: kthread_park() has returned 0, and {k} does not sleep in TASK_PARKED")
        t.did()
    kthread.kthread_stop(k)


class Meddling(Struct):
    """What `bind` shares with its meddler."""

    thread = TaskRef()
    open = Word()
    busy = Word()


def meddler(m: Meddling) -> int:
    """Confine the thread that is being bound to a CPU of the meddler's choice, again and again."""
    draw = random.Random(m.base)
    while not kthread.kthread_should_stop():
        m.busy.xchg(1)
        if m.open.load():
            sched_setaffinity(m.thread.get(), cpumask_of(draw.choice(online_cpus())))
        m.busy.store_release(0)
        sched.cond_resched()
    return 0


def bind(t: Turn) -> None:
    """Bind new threads to a CPU for good while another task sets their masks: the binding must win."""
    m = Meddling.alloc()
    other = kthread.kthread_run(meddler, m, "meddler")
    while t.going():
        _bind_one(t, m)
        t.did()
    kthread.kthread_stop(other)
    m.free()


def _bind_one(t: Turn, m: Meddling) -> None:
    cpu = t.draw.choice(online_cpus())
    k = kthread.kthread_create(partner, None, "bound")
    get_task_struct(k)
    m.thread.set(k)
    m.open.store_release(1)
    sched.cond_resched()
    kthread.kthread_bind(k, cpu)
    mask, flags = k.cpus_allowed.load(), k.flags.load()
    m.open.xchg(0)
    while m.busy.load():
        sched.cpu_relax()
    assert flags & PF_NO_SETAFFINITY and mask == cpumask_of(cpu), (
        f"S30: {k} was bound to cpu{cpu}, and its mask is {mask:#x}")
    kthread.kthread_stop(k)
    put_task_struct(k)


class Roaming(Struct):
    """What `roam` shares with its roamer."""

    halt = Word()
    awake = Embedded(Completion)


def roamer(r: Roaming) -> int:
    """Each time that it is woken: run until halt is set, then sleep."""
    while not kthread.kthread_should_stop():
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not kthread.kthread_should_stop():
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)
        complete(r.awake)
        while not r.halt.load():
            sched.cpu_relax()
    return 0


@contextmanager
def _running(k: Task, r: Roaming) -> Iterator[None]:
    """In this block the roamer runs; after it, it sleeps.  May sleep."""
    sched.wait_task_inactive(k, 0)
    r.halt.store(0)
    sched.wake_up_process(k)
    wait_for_completion(r.awake)
    yield
    r.halt.store(1)
    sched.wait_task_inactive(k, 0)


def _until(t: Turn, cpu: int, online: bool) -> None:
    """Poll until the CPU is online, or offline; not for long, since perhaps no task takes it there."""
    end = now_ns() + PATIENCE_NS
    while cpu_online(cpu) != online and now_ns() < end and t.going():
        sched.cpu_relax()


def roam(t: Turn) -> None:
    """Wake a thread on a CPU that just came up, and move it away: it must leave."""
    r = Roaming.alloc()
    k = kthread.kthread_run(roamer, r, "roamer")
    while t.going():
        _roam_once(t, k, r)
        t.did()
    r.halt.store(1)
    kthread.kthread_stop(k)
    r.free()


def _roam_once(t: Turn, k: Task, r: Roaming) -> None:
    cpu, everywhere = t.draw.randrange(system.nr_cpus), (1 << system.nr_cpus) - 1
    if sched.set_cpus_allowed_ptr(k, cpumask_of(cpu)):
        return                              # the CPU is offline: it comes up another time
    with _running(k, r):
        pass                                # so that it wakes up on this CPU the next time, too
    sched.set_cpus_allowed_ptr(k, everywhere)
    _until(t, cpu, online=False)
    _until(t, cpu, online=True)
    with _running(k, r):
        _move_away(t, k)
    sched.set_cpus_allowed_ptr(k, everywhere)


def _move_away(t: Turn, k: Task) -> None:
    """Take its CPU from the mask of the roamer, which runs: it must leave.

    As in v4.13, the roamer stays where it is if the CPU that was chosen for it goes down in this
    moment.  So the promise is judged only if no CPU went down meanwhile.
    """
    downs = t.downs()
    elsewhere = ((1 << system.nr_cpus) - 1) & ~cpumask_of(k.cpu.load())
    if not elsewhere or sched.set_cpus_allowed_ptr(k, elsewhere):
        return
    where = k.cpu.load()            # before the mask: a CPU that goes down widens the mask
    mask = k.cpus_allowed.load()
    if downs is not None and t.downs() == downs:
        assert where in for_each_cpu(mask), (
            f"S9: set_cpus_allowed_ptr() has returned 0, and {k} is on cpu{where}: its mask is {mask:#x}")
