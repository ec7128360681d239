"""ksoftirqd of 2.6.6: created as its CPU comes up, stopped when the CPU is dead.

Linux: kernel/softirq.c (2.6.6: cpu_callback).  A softirq that is raised on a CPU that goes
down waits until the CPU is up again.  The rest is in kemu.kernel.softirq.

Locks: none.  Callers: init.
"""

from __future__ import annotations

from typing import cast

from kemu.kernel.cpumask import online_cpus
from kemu.kernel.kthread import kthread_should_stop, kthread_stop
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (TASK_INTERRUPTIBLE, TASK_RUNNING, __set_current_state,
                                     set_current_state)
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.softirq import Softirq, ksoftirqd_should_run, run_ksoftirqd
from kemu.kernel.v2_6.kthread import kthread_bind, kthread_create
from kemu.kernel.v2_6.notifier import (CPU_DEAD, CPU_ONLINE, CPU_UP_CANCELED, CPU_UP_PREPARE,
                                       NOTIFY_OK)
from kemu.memory.views import Task
from kemu.native import preempt_disable, preempt_enable, smp_processor_id


def ksoftirqd(cpu: int) -> int:
    """Run the CPU's pending softirqs, on that CPU only, until stopped.  A thread's function."""
    set_current_state(TASK_INTERRUPTIBLE)
    while not kthread_should_stop():
        preempt_disable()
        here = smp_processor_id() == cpu        # if not, its CPU is dead
        due = here and ksoftirqd_should_run(cpu)
        preempt_enable()
        if due:
            __set_current_state(TASK_RUNNING)
            run_ksoftirqd(cpu)
        else:
            schedule()
        set_current_state(TASK_INTERRUPTIBLE)
    __set_current_state(TASK_RUNNING)
    return 0


def softirq_call(action: int, cpu: int) -> int:
    """Create, wake or stop a CPU's ksoftirqd as the CPU comes and goes.  May sleep."""
    mine = Softirq.on(cpu)
    if action == CPU_UP_PREPARE:
        thread = kthread_create(ksoftirqd, cpu, cpu, "ksoftirqd/%u")
        kthread_bind(thread, cpu)
        mine.thread.set(thread)
    elif action == CPU_ONLINE:
        wake_up_process(cast(Task, mine.thread.get()))
    elif action in (CPU_UP_CANCELED, CPU_DEAD):
        thread = cast(Task, mine.thread.get())
        if action == CPU_UP_CANCELED:
            kthread_bind(thread, online_cpus()[0])
        mine.thread.set(None)
        kthread_stop(thread)
    return NOTIFY_OK
