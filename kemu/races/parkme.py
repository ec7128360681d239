"""Parking as each Linux release had it: the kernels of the exhibits that park a thread.

Linux: kernel/kthread.c (__kthread_parkme, __kthread_bind, kthread_park, kthread_unpark).

    3.8     a parked thread sleeps in TASK_INTERRUPTIBLE, and is bound without a wait (as 3.7)
    3.9     it sleeps in TASK_PARKED, and is bound when it is off its runqueue (f2530dc71cf0)
    4.16    as 3.9; the mask is stored under pi_lock (25834c73f93a, 2015)
    4.17    the CPU that switches away from a thread in TASK_PARKED completes `parked` (85f1abe0019f)
    4.18    the thread stores TASK_PARKED under pi_lock and completes `parked` itself; kthread_park()
            then waits until the thread is off its runqueue (1cef1150ef40)

From 4.17 on, unpark binds the thread first, and does not look at IS_PARKED, which is gone.  There it does
nothing for a thread that is not to park (2024): otherwise kthread_stop() of such a thread would WARN.

The switch is C here, so 4.17's kthread_park() asks the thread's counts of switches instead:

    Parking.switches    <- 1 + how often the thread had left its CPU: by the thread, when it has stored
                           TASK_PARKED; 0: by unpark, and by the thread as it leaves the loop.
                           One thread of each CPU parks at a time.

So kthread_park() returns no earlier than in 4.17, up to one tick later, and it remembers, as the
completion did, that the thread has left.

Locks: none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EBUSY, ENOSYS
from typing import Any

import kemu
from kemu import native
from kemu.harness.sides import Variant
from kemu.kernel import kthread, sched
from kemu.kernel.fork import put_task_struct
from kemu.kernel.panic import WARN
from kemu.kernel.sched.completion import complete, reinit_completion, wait_for_completion
from kemu.kernel.sched.state import PF_NO_SETAFFINITY, set_special_state
from kemu.memory.views import Task
from kemu.trace import events

SHOULD_PARK, IS_PARKED = kthread.KTHREAD_SHOULD_PARK, kthread.KTHREAD_IS_PARKED
IS_PER_CPU = kthread.KTHREAD_IS_PER_CPU
bind = kthread.__kthread_bind


class Parking(kemu.PerCPU, keep=True):
    """Of the thread that parks on a CPU."""

    switches = kemu.Word()
    waited = kemu.Word()        # 1: kthread_park() of 4.18 found it queued when it had said that it parks


# -- 3.8 --------------------------------------------------------------------------

def parkme_of_3_8(self: kthread.KThread) -> None:
    """Sleep in TASK_INTERRUPTIBLE while parked."""
    sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
    while self.flags.test_bit(SHOULD_PARK):
        if not self.flags.test_and_set_bit(IS_PARKED):
            complete(self.parked)
            kemu.point("parkme:completed")
        sched.schedule()
        kemu.point("parkme:woken")
        sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
    kemu.point("parkme:leaving")
    self.flags.clear_bit(IS_PARKED)
    sched.__set_current_state(sched.TASK_RUNNING)


def bind_of_3_8(p: Task, cpu: int, state: int) -> bool:
    """Bind without waiting for the thread to be inactive."""
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))
    p.flags.fetch_or(PF_NO_SETAFFINITY)     # PF_THREAD_BOUND until 3.9
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)
    return True


def unpark_of_3_8(k: Task, kthread: kthread.KThread) -> None:
    """Wake it with an ordinary wake-up."""
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    if kthread.flags.test_and_clear_bit(IS_PARKED):
        if kthread.flags.test_bit(IS_PER_CPU):
            bind(k, kthread.cpu.load(), 0)
        sched.wake_up_process(k)


# -- 3.9 to 4.16 --------------------------------------------------------------------

def parkme_of_3_9(self: kthread.KThread) -> None:
    """Sleep in TASK_PARKED, which is stored as any other state."""
    sched.__set_current_state(sched.TASK_PARKED)
    kemu.point("parkme:announced")
    while self.flags.test_bit(SHOULD_PARK):
        if not self.flags.test_and_set_bit(IS_PARKED):
            complete(self.parked)
            kemu.point("parkme:completed")
        sched.schedule()
        kemu.point("parkme:woken")
        sched.__set_current_state(sched.TASK_PARKED)
    kemu.point("parkme:leaving")
    self.flags.clear_bit(IS_PARKED)
    sched.__set_current_state(sched.TASK_RUNNING)


def bind_of_3_9(p: Task, cpu: int, state: int) -> bool:
    """Store the mask and the flag without pi_lock."""
    if not sched.wait_task_inactive(p, state):
        WARN(f"__kthread_bind: {p} is not asleep in state {state:#x}: not bound to cpu{cpu}")
        return False
    kemu.point("bind:inactive")
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))
    p.flags.fetch_or(PF_NO_SETAFFINITY)     # PF_THREAD_BOUND until 3.9
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)
    return True


# -- 4.17 ---------------------------------------------------------------------------

def left_its_cpu(k: Task) -> int:
    """How often the thread has been switched away from: it slept, or was preempted."""
    return int(k.nvcsw.load() + k.nivcsw.load())


def parkme_of_4_17(self: kthread.KThread) -> None:
    """Sleep in TASK_PARKED, and leave it to the switch to say so."""
    parking = Parking.on(self.cpu.load())
    while True:
        sched.set_current_state(sched.TASK_PARKED)
        parking.switches.cmpxchg(0, 1 + left_its_cpu(sched.current()))
        kemu.point("parkme:announced")
        if not self.flags.test_bit(SHOULD_PARK):
            break
        sched.schedule()
        kemu.point("parkme:woken")
    kemu.point("parkme:leaving")
    parking.switches.store(0)
    sched.__set_current_state(sched.TASK_RUNNING)


def ask_to_park(k: Task, kthread: kthread.KThread) -> int:
    """Set SHOULD_PARK and wake the thread.  Returns 0, or -EBUSY if the thread is to park already."""
    if kthread.flags.test_and_set_bit(SHOULD_PARK):
        WARN(f"kthread_park: {k} is to park already")
        return -EBUSY
    native.trace(events.KTHREAD_PARK, k.slot, 0, 0, 0)
    sched.wake_up_process(k)
    return 0


def park_of_4_17(k: Task) -> int:
    """Wait until the thread has left its CPU in TASK_PARKED.  May sleep."""
    live = kthread.task_get_live_kthread(k)
    if not live:
        return -ENOSYS
    ret = ask_to_park(k, live)
    parking = Parking.on(live.cpu.load())
    while not ret and not 0 < parking.switches.load() <= left_its_cpu(k):
        sched.schedule_timeout_uninterruptible(1)
    put_task_struct(k)
    return ret


def unpark_of_4_17(k: Task, kthread: kthread.KThread) -> None:
    """Bind the thread first; then it may leave."""
    if not kthread.flags.test_bit(SHOULD_PARK):
        return
    if kthread.flags.test_bit(IS_PER_CPU):
        bind(k, kthread.cpu.load(), sched.TASK_PARKED)
    Parking.on(kthread.cpu.load()).switches.store(0)
    reinit_completion(kthread.parked)
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    sched.wake_up_state(k, sched.TASK_PARKED)


# -- 4.18 ---------------------------------------------------------------------------

def parkme_of_4_18(self: kthread.KThread) -> None:
    """Store TASK_PARKED under pi_lock, and say so; the parker waits for the rest."""
    while True:
        set_special_state(sched.TASK_PARKED)
        kemu.point("parkme:announced")
        if not self.flags.test_bit(SHOULD_PARK):
            break
        complete(self.parked)
        kemu.point("parkme:completed")
        sched.schedule()
        kemu.point("parkme:woken")
    kemu.point("parkme:leaving")
    sched.__set_current_state(sched.TASK_RUNNING)


def park_of_4_18(k: Task) -> int:
    """Wait until the thread has said that it parks, and then until it is off its runqueue.  May sleep."""
    live = kthread.task_get_live_kthread(k)
    if not live:
        return -ENOSYS
    ret = ask_to_park(k, live)
    if not ret:
        wait_for_completion(live.parked)
        Parking.on(live.cpu.load()).waited.store(int(bool(k.on_rq.load())))
        if not sched.wait_task_inactive(k, sched.TASK_PARKED):
            WARN(f"kthread_park: {k} has said that it parks, and is not asleep in TASK_PARKED")
    put_task_struct(k)
    return ret


RELEASES: dict[str, list[tuple[Callable[..., Any], Callable[..., Any]]]] = {
    "3.8": [(kthread.__kthread_parkme, parkme_of_3_8), (kthread.__kthread_bind, bind_of_3_8),
            (kthread.__kthread_unpark, unpark_of_3_8)],
    "3.9": [(kthread.__kthread_parkme, parkme_of_3_9), (kthread.__kthread_bind, bind_of_3_9)],
    "4.16": [(kthread.__kthread_parkme, parkme_of_3_9)],
    "4.17": [(kthread.__kthread_parkme, parkme_of_4_17), (kthread.kthread_park, park_of_4_17),
             (kthread.__kthread_unpark, unpark_of_4_17)],
    "4.18": [(kthread.__kthread_parkme, parkme_of_4_18), (kthread.kthread_park, park_of_4_18),
             (kthread.__kthread_unpark, unpark_of_4_17)],
}


def as_of(release: str, side: Variant) -> None:
    """Have the side park threads as that release did."""
    for target, function in RELEASES[release]:
        side.replaces(target)(function)
