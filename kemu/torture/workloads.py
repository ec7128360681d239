"""The built-in workloads: each does one kind of thing, again and again.

Linux: the test kthreads of kernel/torture.c, kernel/locking/locktorture.c and the stray wakers
of the races that were fixed in kthread.c.  The workloads that also assert what a function
promised are in promises, those of keventd in keventd.

Locks: none.  Callers: run.
"""

from __future__ import annotations

from collections.abc import Callable

import kemu
from kemu.kernel import kthread, sched
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.own.version import VERSIONS
from kemu.kernel.sched.completion import completion_on_stack, wait_for_completion
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.smpboot import (SmpHotplugThread, registered_threads, smpboot_register_percpu_thread,
                                 smpboot_thread, smpboot_unregister_percpu_thread)
from kemu.kernel.softirq import raise_softirq
from kemu.kernel.stop_machine import stop_machine, stop_two_cpus
from kemu.memory.struct import PerCPU, TaskRef
from kemu.torture.callbacks import herd, notifier, nowait, states
from kemu.torture.keventd import flush, helpers
from kemu.torture.partner import partner
from kemu.torture.promises import bind, repark, roam
from kemu.torture.worker import Turn, Workload, worker_main

NOW = ("4.13",)             # for workloads that 2.6.6 does not have
THEN = ("2.6.6",)           # for those that only 2.6.6 has
NR_SOFTIRQS = 3
PLUG = "plug"               # how the names of the threads of `register` begin
STOP_MACHINE_ODDS = 8       # one stop in so many stops the whole machine


def park(t: Turn) -> None:
    """Park and unpark a thread that is bound to no CPU."""
    with completion_on_stack() as done:
        k = kthread.kthread_run(partner, done, "partner/%u", t.seed)
        wait_for_completion(done)
        while t.going():
            kthread.kthread_park(k)
            kthread.kthread_unpark(k)
            wait_for_completion(done)
            t.did()
        kthread.kthread_stop(k)


def _nothing(arg: int) -> int:
    return 0


def stop(t: Turn) -> None:
    """Stop one CPU, or two, now and then all; a CPU that is going answers -ENOENT."""
    while t.going():
        stop_one_cpu(t.draw.randrange(len(runqueues)), _nothing)
        if len(runqueues) > 1:
            one, other = t.draw.sample(range(len(runqueues)), 2)
            stop_two_cpus(one, other, _nothing)
        if not t.draw.randrange(STOP_MACHINE_ODDS):
            stop_machine(_nothing)
        t.did()


def affinity(t: Turn) -> None:
    """Confine the task to one CPU, then let it run on any."""
    me = sched.current()
    while t.going():
        sched.set_cpus_allowed_ptr(me, 1 << t.draw.choice(online_cpus()))
        sched.set_cpus_allowed_ptr(me, (1 << len(runqueues)) - 1)
        t.did()


def softirq(t: Turn) -> None:
    """Raise soft interrupts where the task runs, and go to another CPU."""
    me = sched.current()
    while t.going():
        raise_softirq(t.draw.randrange(NR_SOFTIRQS))
        sched.set_cpus_allowed_ptr(me, 1 << t.draw.choice(online_cpus()))
        sched.set_cpus_allowed_ptr(me, (1 << len(runqueues)) - 1)
        t.did()


def execs(t: Turn) -> None:
    """A task that execs itself again and again, on whatever CPU the balance picks."""
    sched.set_cpus_allowed_ptr(sched.current(), (1 << len(runqueues)) - 1)
    _exec_again(t)


def _exec_again(t: Turn) -> None:
    t.did()
    if t.going():
        kemu.exec(worker_main, _exec_again, t.worker, t.seed + 1)


def create(t: Turn) -> None:
    """Create kernel threads, bound to a CPU and not, and stop them: parked, asleep, never woken."""
    while t.going():
        with completion_on_stack() as done:
            bound = kthread.kthread_create_on_cpu(partner, done, t.draw.choice(online_cpus()), "bound/%u")
            if t.draw.randrange(2):
                kthread.kthread_unpark(bound)
                wait_for_completion(done)
            kthread.kthread_stop(bound)
            free = kthread.kthread_create(partner, done, "free")
            if t.draw.randrange(2):
                sched.wake_up_process(free)
            kthread.kthread_stop(free)
        t.did()


def wakers(t: Turn) -> None:
    """Wake the kernel's own per-CPU threads for no reason, as stray wake-ups do."""
    while t.going():
        # Those of `register` come and go: a waker must hold a reference, or know that they stay.
        for name, thread, _ in registered_threads(t.draw.randrange(len(runqueues))):
            if thread is not None and not name.startswith(PLUG):
                sched.wake_up_process(thread)
        sched.cond_resched()
        t.did()


def _never(cpu: int) -> bool:
    return False


def _no_work(cpu: int) -> None:
    return


class Plugged(PerCPU, keep=True):
    """Of each CPU: the newest thread of `register`.  Set by smpboot, under smpboot_threads_lock."""

    thread = TaskRef()


def _sleeps_parked(cpu: int) -> None:
    """The create hook: what it does, for example to change the class, needs a thread at rest."""
    thread = Plugged.on(cpu).thread.get()
    assert thread.state.load() == sched.TASK_PARKED and not thread.on_rq.load(), (
        f"S43: the create hook is called while {thread} is still queued or runs")


def _each_cpu_has_its_thread(plug: SmpHotplugThread) -> None:
    """With the hotplug lock held, so that the CPUs stay as they are."""
    with cpus_read():
        for cpu in online_cpus():
            assert smpboot_thread(plug, cpu) is not None, (
                f"S45: {plug.thread_comm} is registered, and cpu{cpu} is online without its thread")


def register(t: Turn) -> None:
    """Register a per-CPU thread with smpboot, and unregister it."""
    plug = SmpHotplugThread(thread_comm=f"{PLUG}{t.seed % 1000}/%u", thread_should_run=_never,
                            thread_fn=_no_work, create=_sleeps_parked, store=Plugged)
    while t.going():
        smpboot_register_percpu_thread(plug)
        _each_cpu_has_its_thread(plug)
        smpboot_unregister_percpu_thread(plug)
        t.did()


def _workload(function: Callable[[Turn], None], kernels: tuple[str, ...] = tuple(VERSIONS)) -> Workload:
    return Workload(function.__name__, (function.__doc__ or "").splitlines()[0], function, kernels)


WORKLOADS = {one.name: one for one in (
    _workload(park), _workload(stop, NOW), _workload(affinity), _workload(execs), _workload(create),
    _workload(wakers, NOW), _workload(register, NOW), _workload(softirq), _workload(repark),
    _workload(bind, NOW), _workload(roam, NOW), _workload(helpers, THEN), _workload(flush, THEN),
    _workload(states, NOW), _workload(notifier, THEN), _workload(nowait, NOW), _workload(herd, NOW))}

STORM = ("execs", "execs", "execs", "execs", "park", "affinity", "softirq", "repark", "helpers", "flush",
         "notifier")


def default_mix(kernel: str) -> tuple[str, ...]:
    """Which workloads run beside the hotplug of a kernel; 2.6.6 is tried by a storm of execs."""
    if kernel not in NOW:
        return STORM
    return tuple(name for name, one in WORKLOADS.items() if kernel in one.kernels)
