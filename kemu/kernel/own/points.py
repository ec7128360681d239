"""Every point of the kernel, and the state of things when a task passes it.

kemu's own.  A point stands in the gap between two accesses to shared words where another
CPU may come in between: a script can hold a task there, and jitter can delay it.  A test
keeps this table equal to the calls in the kernel, in Python and in C.

Locks: none.
"""

from __future__ import annotations

POINTS = {
    # kthread: kthread_park(), in the parker
    "park:looked": "IS_PARKED was clear; SHOULD_PARK is not set yet",
    "park:asked": "SHOULD_PARK is set; the thread is not woken yet",
    "park:woken": "the thread was woken; the parker is about to wait until it says that it parks",
    # kthread: __kthread_parkme(), in the thread that parks
    "parkme:announced": "the state is TASK_PARKED; SHOULD_PARK is not tested yet",
    "parkme:asked": "SHOULD_PARK was seen set; IS_PARKED is not set yet",
    "parkme:parked": "IS_PARKED is set; the parker still waits",
    "parkme:completed": "the parker may go on; the thread is not off its CPU yet",
    "parkme:woken": "the thread runs again; its state is not TASK_PARKED yet",
    "parkme:leaving": "SHOULD_PARK was seen clear; IS_PARKED is not cleared yet",
    "parkme:left": "IS_PARKED is clear; the state is still TASK_PARKED",
    # kthread: __kthread_unpark(), in the task that unparks
    "unpark:cleared": "SHOULD_PARK is clear; IS_PARKED is not taken yet",
    "unpark:taken": "IS_PARKED was set and is clear now; the thread is not bound yet",
    "unpark:bound": "a per-CPU thread is bound to its CPU; it is not woken yet",
    # kthread: __kthread_bind(), in the task that binds
    "bind:inactive": "the thread was seen off its runqueue; its mask is not stored yet",
    # kthread: kthread_stop(), and the end of a thread
    "stop:asked": "SHOULD_STOP is set; the thread is not unparked yet",
    "stop:unparked": "the thread is unparked if it was parked; it is not woken yet",
    "stop:woken": "the thread was woken; the caller is about to wait for its end",
    "kthread:starts": "the thread runs for the first time; it has not looked at SHOULD_STOP yet",
    "kthread:returned": "the thread's function has returned; its result is not stored yet",
    "kthread:ended": "task.ended is set; a task in kthread_stop() still waits",
    # smpboot: the loop of a per-CPU thread
    "smpboot:announced": "the state is TASK_INTERRUPTIBLE, preemption is off; no flag is tested yet",
    "smpboot:parks": "SHOULD_PARK was seen set; the park hook has not run yet",
    "smpboot:runs": "there is work, and preemption is on again; the function has not begun",
    # smpboot: the task that creates, registers, parks or unparks
    "smpboot:created": "the CPU's thread exists and is asked to park; it is not in the table yet",
    "smpboot:registered": "the threads of the online CPUs run; the descriptor is not in the list yet",
    # cpu_stop: the task that queues a work
    "stopper:queued": "the work is on the list; the stopper is not woken yet (preemption is off)",
    "stopper:refused": "the stopper is not enabled, and the work is completed without having run",
    # cpu_stop: the stopper
    "stopper:took": "a work is off the list; it has not run yet",
    "stopper:ran": "the work has run; its initiator still waits (preemption is off)",
    "stopper:empty": "the list was seen empty; the stopper is about to look at its flags",
    "stopper:disabled": "the stopper takes no more works; SHOULD_PARK is not set yet",
    "stopper:enabled": "the stopper takes works; it is not unparked yet",
    # stop_machine
    "two:queued": "both works are queued and both stoppers woken, or neither; preemption is off",
    "two:woke-one": "both works are queued; the first stopper is woken, the second is not",
    "stop-cpus:queued-one": "one more CPU of stop_cpus() has its work (preemption is off)",
    "multi:entered": "a participant of multi_cpu_stop() runs; it has acknowledged nothing yet",
    "multi:acked": "a participant has acknowledged a state; it has not seen the next one yet",
    # hotplug, on the way up
    "starting:online": "the CPU is online, interrupts are on; its stopper is not enabled yet",
    "online-idle": "the stopper of the upcoming CPU is enabled; the control task still waits",
    "bringup:idle": "the control task may go on; cpuhp/N is not unparked yet",
    "bringup:unparked": "cpuhp/N is unparked; it is not asked to run callbacks yet",
    # hotplug, on the way down
    "deactivate:inactive": "the CPU is not active; tasks that saw it active may still place on it",
    "takedown:parked": "cpuhp/N is parked; the machine is not stopped yet",
    "take-down:offline": "all CPUs stand still; the CPU is offline, its tasks are still on it",
    "takedown:stopped": "the CPU is offline and its tasks have moved; it has not said that it is dead",
    "idle-dead:noted": "the CPU's state is AP_IDLE_DEAD; the control task still waits",
    # hotplug: cpuhp/N and the task that kicks it
    "cpuhp:asked": "should_run is set; cpuhp/N is not woken yet",
    "cpuhp:runs": "cpuhp/N has seen should_run; its callback has not run yet",
    "cpuhp:ran": "the callback has run; its result is not stored yet",
    # the scheduler
    "ttwu:matched": "a waker matched the state, under pi_lock; on_rq is not read yet",
    "ttwu:remote": "the task was still queued, under rq_lock; its state is not RUNNING yet",
    "inactive:queued": "wait_task_inactive() saw the task queued; the waiter is about to sleep a tick",
    "migrate:asked": "a task's new mask forbids its CPU; the stopper is not asked to move it yet",
    "exec:chosen": "exec has chosen a CPU; the task is not moved yet",
    # v2_6.kmod: the helper that keventd started
    "helper:execs": "keventd waits for the exec, which has not begun yet",
    # 2.6.6
    "migrate:queued": "a migration request is queued, the locks are free; its thread is not woken yet",
    "migration:exits": "the migration thread has seen that it should stop, and returns",
    "kthread_create:queued": "keventd has the request for a thread; the creator is about to wait",
    "flush:waiting": "flush_workqueue() knows up to which work it must wait; it does not wait yet",
    "cpu_down:dead": "the CPU is dead; the notifiers do not know yet",
}
