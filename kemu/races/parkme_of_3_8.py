"""Parking as Linux 3.7 and 3.8 had it: in TASK_INTERRUPTIBLE.

Linux: kernel/kthread.c, as "kthread: Implement park/unpark facility" (3.7) made it.
"""

from __future__ import annotations

import kemu
from kemu import native
from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import complete
from kemu.memory.views import Task
from kemu.trace import events

SHOULD_PARK, IS_PARKED = kthread.KTHREAD_SHOULD_PARK, kthread.KTHREAD_IS_PARKED
IS_PER_CPU = kthread.KTHREAD_IS_PER_CPU
bind = kthread.__kthread_bind


def __kthread_parkme(self: kthread.KThread) -> None:
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


def __kthread_bind(p: Task, cpu: int, state: int) -> bool:
    """Bind without waiting for the thread to be inactive."""
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)
    return True


def __kthread_unpark(k: Task, kthread: kthread.KThread) -> None:
    """Wake it with an ordinary wake-up."""
    kthread.flags.clear_bit(SHOULD_PARK)
    kemu.point("unpark:cleared")
    if kthread.flags.test_and_clear_bit(IS_PARKED):
        if kthread.flags.test_bit(IS_PER_CPU):
            bind(k, kthread.cpu.load(), 0)
        sched.wake_up_process(k)
