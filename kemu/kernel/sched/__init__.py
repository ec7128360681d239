"""The scheduler: serialization rules, and the names that users import.

Linux: kernel/sched/.  core.c is split by topic: state, runqueue, schedule, wakeup, wait,
migration, policy, timer, audit.

Lock order:

    the lock of a wait queue or completion, timer_lock
      p->pi_lock
        rq->lock, and another's: the lower CPU first
          this CPU's timer_lock, in schedule() only

timer_lock is in the list twice, but it does not close a cycle.  Inside rq->lock a CPU takes
only its own timer_lock.  Only that same CPU takes other locks inside its timer_lock, with
interrupts off (run_timers()).  Other CPUs hold it only to change the links of the list, and
take no lock inside it.

p->state      <- a mask: by p without a lock (set_current_state); by p under pi_lock for
                 PARKED and DEAD (set_special_state); by wakers under pi_lock
p->on_rq      <- { 0, 1 }: under rq->lock; 1 also while p runs and while it is preempted
p->on_cpu     <- { 0, 1 }: 1 by the switch to p, under rq->lock; 0 by the task that follows p
                 on the CPU (release), after everything p did: wakers wait for it (acquire)
p->cpu        <- under pi_lock (WAKING) or rq->lock (queued)
p->cpus_allowed <- under pi_lock and rq->lock; by __kthread_bind() under pi_lock, once p is
                 inactive
p->sched_class, queue links <- under rq->lock; a task gets the class STOP while it is off
                 every runqueue
p->preempt_count <- by p; swapper's by the thread that idles in its name
rq->curr      <- under rq->lock, by this CPU
rq->stop      <- any CPU, while the stop task is parked
rq->need_resched <- 1 by any CPU under rq->lock, before a kick; 0 by this CPU in schedule()
"""

from __future__ import annotations

from kemu.kernel.barrier import smp_load_acquire, smp_mb, smp_rmb, smp_store_release, smp_wmb
from kemu.kernel.cpumask import cpu_active, cpu_online, cpumask_of, for_each_cpu, online_cpus
from kemu.kernel.sched.audit import audit
from kemu.kernel.sched.migration import do_set_cpus_allowed, sched_setaffinity, set_cpus_allowed_ptr
from kemu.kernel.sched.policy import (SCHED_FIFO, SCHED_NORMAL, sched_set_stop_task,
                                      sched_setscheduler)
from kemu.kernel.sched.runqueue import cpu_rq, idle_cpu, task_cpu, task_curr
from kemu.kernel.sched.schedule import cond_resched, schedule, yield_
from kemu.kernel.sched.state import (TASK_DEAD, TASK_INTERRUPTIBLE, TASK_NORMAL, TASK_PARKED,
                                     TASK_RUNNING, TASK_UNINTERRUPTIBLE, TASK_WAKING,
                                     __set_current_state, set_current_state, set_special_state)
from kemu.kernel.sched.timer import (MAX_SCHEDULE_TIMEOUT, schedule_timeout,
                                     schedule_timeout_uninterruptible)
from kemu.kernel.sched.wait import WaitQueue, wait_event, wait_task_inactive, waiting, wake_up
from kemu.kernel.sched.wakeup import (select_fallback_rq, try_to_wake_up, wake_up_new_task,
                                      wake_up_process, wake_up_state)
from kemu.native import (cpu_relax, current, irqs_disabled, local_irq_restore, local_irq_save,
                         need_resched, preempt_count, preempt_disable, preempt_enable,
                         smp_processor_id)

__all__ = [
    "MAX_SCHEDULE_TIMEOUT", "SCHED_FIFO", "SCHED_NORMAL", "TASK_DEAD", "TASK_INTERRUPTIBLE",
    "TASK_NORMAL", "TASK_PARKED", "TASK_RUNNING", "TASK_UNINTERRUPTIBLE", "TASK_WAKING",
    "WaitQueue", "__set_current_state", "audit", "cond_resched", "cpu_active", "cpu_online",
    "cpu_relax", "cpu_rq", "cpumask_of", "current", "do_set_cpus_allowed", "for_each_cpu",
    "idle_cpu", "irqs_disabled", "local_irq_restore", "local_irq_save", "need_resched",
    "online_cpus", "preempt_count", "preempt_disable", "preempt_enable", "sched_set_stop_task",
    "sched_setaffinity", "sched_setscheduler", "schedule", "schedule_timeout",
    "schedule_timeout_uninterruptible", "select_fallback_rq", "set_cpus_allowed_ptr",
    "set_current_state", "set_special_state", "smp_load_acquire", "smp_mb", "smp_processor_id",
    "smp_rmb", "smp_store_release", "smp_wmb", "task_cpu", "task_curr",
    "try_to_wake_up", "wait_event", "wait_task_inactive", "waiting", "wake_up",
    "wake_up_new_task", "wake_up_process", "wake_up_state", "yield_",
]
