"""watchdog/N: finds a CPU whose tasks cannot run any more.

Linux: kernel/watchdog.c (v4.13), and the neighbour of 6.5 that watches another CPU.
Not modelled: NMIs.  A CPU that takes no interrupts therefore cannot find this by itself, but
its neighbour can.

Each watchdog/N, of FIFO 99, notes the time five times in each threshold, and looks at the
time of the next online CPU.  A loop that never calls kemu is a soft lockup.  So is a stopper
whose spin never ends:

    watchdog: BUG: soft lockup - CPU#1 stuck for 2s! [migration/1:5]

It is off unless the machine was booted with Machine(watchdog=seconds).  Its timers never
rest, so a machine that has it is never found quiescent.

Locks: none.  Callers: init, hung_task.
"""

from __future__ import annotations

from typing import Final

from kemu.kernel.arch import is_stopped
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.kthread import kthread_should_park, kthread_should_stop
from kemu.kernel.own.system import system
from kemu.kernel.panic import Kind, panic
from kemu.kernel.sched.policy import SCHED_FIFO, sched_setscheduler
from kemu.kernel.sched.runqueue import idle_tasks, runqueues
from kemu.kernel.sched.state import (TASK_INTERRUPTIBLE, TASK_RUNNING, __set_current_state,
                                     set_current_state)
from kemu.kernel.sched.timer import schedule_timeout, schedule_timeout_uninterruptible
from kemu.kernel.smpboot import SmpHotplugThread, smpboot_register_percpu_thread
from kemu.memory.struct import PerCPU, Word
from kemu.native import current, now_ns

SAMPLES = 5                 # per threshold


class Watchdog(PerCPU, keep=True):
    """A CPU's watchdog; thresh is CPU 0's, in nanoseconds."""

    touched: Final = Word()     # now_ns(); 0: not watched
    suspected: Final = Word()   # what touched was when the neighbour first found it too old
    thresh: Final = Word()


def watchdog_enable(cpu: int) -> None:
    """Begin to watch the CPU.  Runs on watchdog/N."""
    sched_setscheduler(current(), SCHED_FIFO, 99)
    Watchdog.on(cpu).touched.store(now_ns())


def watchdog_disable(cpu: int) -> None:
    """Stop watching the CPU, which is about to go down.  Runs on watchdog/N."""
    Watchdog.on(cpu).touched.store(0)


def watchdog_should_run(cpu: int) -> bool:
    return True


def watchdog(cpu: int) -> None:
    """Note the time, look at the neighbour, sleep.  Runs on watchdog/N."""
    thresh = Watchdog.on(0).thresh.load()
    if now_ns() - Watchdog.on(cpu).touched.xchg(now_ns()) < thresh:
        check_soft_lockup(_next_online(cpu), thresh)    # a late watchdog cannot judge its neighbour
    set_current_state(TASK_INTERRUPTIBLE)
    if not (kthread_should_park() or kthread_should_stop()):
        schedule_timeout(max(1, thresh // SAMPLES // system.header.tick_ns.load()))
    __set_current_state(TASK_RUNNING)


def _next_online(cpu: int) -> int:
    online = online_cpus()
    return next((other for other in online if other > cpu), online[0])


def check_soft_lockup(cpu: int, thresh: int) -> None:
    """Stop the machine if that CPU's watchdog has not run for too long.

    A CPU that idles is not stuck: then the host does not run it.  If the neighbour itself is
    late, the host stood still, and the neighbour does not look.  If the process of the CPU
    is stopped, or that of the task that it runs, the neighbour notes the time for the CPU: when the
    process goes on, the CPU's watchdog has a threshold's time.
    """
    touched = Watchdog.on(cpu).touched.load()
    stuck = now_ns() - touched
    curr = system.tasks.at(runqueues[cpu].curr.load())
    if not touched or stuck <= thresh or curr is idle_tasks[cpu]:
        return
    if is_stopped(cpu) or is_stopped(curr.home.load()):
        Watchdog.on(cpu).touched.cmpxchg(touched, now_ns())
    elif Watchdog.on(cpu).suspected.xchg(touched) == touched:   # so it was a look ago: it had its chance
        panic(Kind.HANG, f"watchdog: BUG: soft lockup - CPU#{cpu} stuck for {stuck // 10**9}s! "
                         f"[{curr.comm}:{curr.pid.load()}]")


def is_late(cpu: int) -> bool:
    """Whether the CPU's watchdog has not run for half a threshold.  Any context."""
    touched, thresh = Watchdog.on(cpu).touched.load(), Watchdog.on(0).thresh.load()
    return bool(touched and now_ns() - touched > thresh // 2)


watchdog_threads: Final = SmpHotplugThread("watchdog/%u", watchdog_should_run, watchdog,
                                    setup=watchdog_enable, unpark=watchdog_enable,
                                    park=watchdog_disable)


def lockup_detector_init(seconds: float) -> None:
    """Start the watchdogs.  Runs at boot.  May sleep."""
    Watchdog.on(0).thresh.store(int(seconds * 1e9))
    smpboot_register_percpu_thread(watchdog_threads)


def wait_until_watched() -> None:
    """Sleep until the watchdog of each online CPU has begun.  Runs at the end of boot.  May sleep.

    A CPU that is stuck before its watchdog has run once would never be reported.
    """
    for cpu in online_cpus():
        while not Watchdog.on(cpu).touched.load():
            schedule_timeout_uninterruptible(1)
