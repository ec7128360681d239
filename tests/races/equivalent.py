"""Wrong fixes that do what the fix does: the race does not come back, and no promise is broken.

Each has its reason.  `make wrong-fixes` tries them too.  An entry of IN_RACE must then be judged CLEAN, and
one of ANYWHERE in some race.  So no entry outlives its reason.  BY_CHANCE has what a few trials may miss.

Callers: wrong_fixes.
"""

from __future__ import annotations

THE_NEXT_STATE = "the thread's loop stores its next state at once"
ITS_OWN_STATES = "cpuhp/N steps over the states without callbacks itself"
POLLS = "it polls, and so it is awake whenever work comes"
ALIVE = "T is alive"
BOUND = "T is bound already"
QUEUED = "each migration of the trials is queued as a request"

# By function and how: wherever the function stands.
ANYWHERE = {
    # Done twice, these do what they do once.  What the second call finds:
    ("wait_for_work", "twice"): "the work is there",
    ("__kthread_parkme", "twice"): "SHOULD_PARK is clear",
    ("__kthread_bind", "twice"): "the same mask, the same flag",
    ("__kthread_unpark", "twice"): "IS_PARKED is clear",
    ("kthread_unpark", "twice"): "IS_PARKED is clear",
    ("kthread_park", "twice"): "IS_PARKED is set",
    ("set_special_state", "twice"): "the same state",
    ("kthread_bind", "twice"): "the same mask, the same flag",
    ("smpboot_unpark_thread", "twice"): "IS_PARKED is clear",
    ("cpu_stopper_thread", "twice"): "the list is empty",
    ("stop_machine_park", "twice"): "the same flag, and IS_PARKED is clear until the thread parks",
    ("stop_machine_unpark", "twice"): "the same flag",
    ("cpu_down", "twice"): "the CPU is down",
    ("cpu_up", "twice"): "the CPU is up",
    ("sched_cpu_activate", "twice"): "the same bit",
    ("set_cpus_allowed_ptr", "twice"): "the same mask",
    ("sched_migrate_task", "twice"): "the task is there",
    ("sched_balance_exec", "twice"): "the task is there",
    ("__migrate_task", "twice"): "the task is not here any more",
    ("drain_requests", "twice"): "the queue is empty",
    ("run_workqueue", "twice"): "the list is empty",
    ("queue_work", "twice"): "the work is pending",
    ("flush_workqueue", "twice"): "nothing is left",
    ("flush_cpu_workqueue", "twice"): "nothing is left",
    ("kthread_stop", "twice"): "the thread has ended, and its result is there",
    # Without a statement:
    ("__kthread_parkme", "without `self.flags.clear_bit(KTHREAD_IS_PARKED)`"): "unpark has cleared it",
    ("__kthread_parkme", "without `__set_current_state(TASK_RUNNING)`"): THE_NEXT_STATE,
    ("__kthread_parkme", "without `sched.__set_current_state(sched.TASK_RUNNING)`"): THE_NEXT_STATE,
    ("__kthread_parkme", "without `set_special_state(TASK_PARKED) (2)`"):
        "no wake-up but unpark's reaches a parked thread",
    ("cpuhp_online_idle", "without `st.state.store(S.CPUHP_AP_ONLINE_IDLE)`"): ITS_OWN_STATES,
    ("bringup_wait_for_ap", "without `if st.target.load() <= S.CPUHP_AP_ONLINE_IDLE:`"):
        "the target is beyond that state",
    ("bringup_wait_for_ap", "without `if not cpu_online(cpu):`"): "the CPU is online",
    ("bringup_wait_for_ap", "without `return 0`"): "the target is beyond that state",
}

# By race, function and how.
IN_RACE = {
    # A function of the fix as it was before:
    ("stopper-drops-work", "cpu_stop_park", "left out"): "stop_machine_park() has left its list empty",
    ("stopper-drops-work-up", "cpu_stop_queue_two_works", "left out"):
        "CPUs become active last (test_guards)",
    ("stopper-drops-work-up", "sched_cpu_starting", "left out"): "nothing looks at active (test_guards)",
    ("stopper-enabled-late", "bringup_wait_for_ap", "left out"): "it enables a stopper that is enabled",
    ("park-returns-early", "__kthread_parkme", "left out"): "kthread_park() waits whatever T says first",
    ("exec-deadlocks-cpu-up", "sched_migrate_task", "left out"): "cpu_up() does not take that semaphore",
    ("exec-dest-dies-early", "__migrate_task", "left out"): "sched_migrate_task() looks at dest before",
    ("exec-dest-dies-early", "sched_migrate_task", "left out"): "__migrate_task() looks at dest again",
    # Without a statement:
    ("lost-wakeup", "wait_for_work", "without `sched.set_current_state(sched.TASK_INTERRUPTIBLE)`"): POLLS,
    ("lost-wakeup", "wait_for_work", "without `sched.schedule()`"): POLLS,
    ("unpark-wrong-cpu", "__kthread_bind", "without `return True`"): "unpark does not look at the result",
    ("park-returns-early", "kthread_park", "without `if not live:`"): ALIVE,
    ("park-returns-early", "kthread_park", "without `return -ENOSYS`"): ALIVE,
    ("park-returns-early", "__kthread_unpark", "without `if not kthread.flags.test_bit(SHOULD_PARK):`"):
        "T is parked whenever it is unparked",
    ("park-returns-early", "__kthread_unpark", "without `return`"): "T is parked whenever it is unparked",
    ("park-returns-early", "__kthread_unpark", "without `if kthread.flags.test_bit(IS_PER_CPU):`"): BOUND,
    ("park-returns-early", "__kthread_unpark",
     "without `bind(k, kthread.cpu.load(), sched.TASK_PARKED)`"): BOUND,
    ("park-returns-early", "__kthread_unpark", "without `Parking.on(kthread.cpu.load()).switches.store(0)`"):
        "only 4.17 reads it",
    ("park-returns-early", "__kthread_unpark", "without `reinit_completion(kthread.parked)`"):
        "the parker has taken the completion",
    ("stale-is-parked", "__kthread_unpark",
     "without `if kthread.flags.test_bit(KTHREAD_IS_PER_CPU):`"): BOUND,
    ("stale-is-parked", "__kthread_unpark",
     "without `__kthread_bind(k, kthread.cpu.load(), TASK_PARKED)`"): BOUND,
    ("bind-loses-mask", "__kthread_bind", "without `if not wait_task_inactive(p, state):`"):
        "T has not been woken yet",
    ("stop-of-parked", "kthread_stop", "without `wake_up_process(k)`"): "T is parked, and unpark wakes it",
    ("stopper-drops-work-up", "cpu_stop_queue_two_works", "without `in_progress.wait_while(1)`"):
        "it asks again at once",
    ("stopper-drops-work-up", "sched_cpu_starting", "without `return 0`"): "a None result is a success too",
    ("exec-deadlocks-flush", "sched_migrate_task", "without `task_rq_unlock(rq, p, flags)`"): QUEUED,
    ("exec-deadlocks-cpu-up", "sched_migrate_task", "without `task_rq_unlock(rq, p, flags)`"): QUEUED,
}

# By race, function and how: broken in most trials, and not in all.
BY_CHANCE = {
    ("stopper-drops-work-up", "stop_two_cpus", "twice"):
        "of two calls the first may be refused, and the second accepted",
    ("exec-source-dies", "wait_for_migration", "without `wait_for_completion(req.done)`"):
        "the request may be completed by the time that R would have waited for it",
}
