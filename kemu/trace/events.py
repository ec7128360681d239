"""The table of trace points: number, name, and what its three words a, b, c mean.

Linux: include/trace/events/{sched,cpuhp}.h, for the events whose names begin with sched_ or
cpuhp_.  The other events are kemu's own; Linux has no tracepoints for them.

The hardware writes some events (gate.c, schedule.c and wakeup.c).  Kernel code writes
the rest through ``native.trace``.  Each event holds copies of the current task's pid and comm and,
if the event is about another task (the subject), of that task's pid and comm.
"""

from __future__ import annotations

POINT = 1               # a: the point's symbol
OP = 2                  # a: operation, b: offset, c: value
SCHED_SWITCH = 3        # subject: next; a: prev's state, b: prev's prio, c: next's prio
SCHED_WAKING = 4        # subject: the task that is woken; a: prio, b: target CPU
SCHED_WAKEUP = 5        # subject: the task that is woken; a: prio, b: target CPU
SCHED_WAKEUP_NEW = 6    # subject: the new task; a: prio, b: target CPU
SCHED_MIGRATE_TASK = 7  # subject: the task that moves; a: prio, b: from CPU, c: to CPU
SCHED_WAIT_TASK = 8     # subject: the task that is waited for; a: prio
SCHED_KTHREAD_STOP = 9  # subject: the thread that is to stop
SCHED_KTHREAD_STOP_RET = 10     # a: what it returned
KTHREAD_PARK = 11       # subject: the thread that is to park
KTHREAD_UNPARK = 12     # subject: the thread that is unparked
KTHREAD_BIND = 13       # subject: the thread that is bound; a: CPU
KTHREAD_PARKED = 14     # (by itself) a: 1 entering, 0 leaving
SCHED_PROCESS_EXIT = 15  # subject: the task that exits
PANIC = 16              # a: kind
CPUHP_ENTER = 17        # a: CPU, b: target, c: step
CPUHP_EXIT = 18         # a: CPU, b: the CPU's state + STEP times the step that ran, c: result
STOP_QUEUE = 19         # a: CPU, b: whether it was queued
STOP_DONE = 20          # a: whether it ran

NAMES = {
    POINT: "kemu_point", OP: "kemu_op", SCHED_SWITCH: "sched_switch",
    SCHED_WAKING: "sched_waking", SCHED_WAKEUP: "sched_wakeup",
    SCHED_WAKEUP_NEW: "sched_wakeup_new", SCHED_MIGRATE_TASK: "sched_migrate_task",
    SCHED_WAIT_TASK: "sched_wait_task", SCHED_KTHREAD_STOP: "sched_kthread_stop",
    SCHED_KTHREAD_STOP_RET: "sched_kthread_stop_ret", KTHREAD_PARK: "kthread_park",
    KTHREAD_UNPARK: "kthread_unpark", KTHREAD_BIND: "kthread_bind",
    KTHREAD_PARKED: "kthread_parkme", SCHED_PROCESS_EXIT: "sched_process_exit",
    PANIC: "kemu_panic", CPUHP_ENTER: "cpuhp_enter", CPUHP_EXIT: "cpuhp_exit",
    STOP_QUEUE: "cpu_stop_queue", STOP_DONE: "cpu_stop_done",
}

STEP = 1 << 16          # in CPUHP_EXIT's b: the step is above the state
PREEMPTED = 1024        # in SCHED_SWITCH's a: TASK_STATE_MAX, printed as "+"
STATE_LETTERS = "RSDTtZXxKWP"
"""TASK_STATE_TO_CHAR_STR of Linux 3.9: R, then one letter for each bit."""

_STATE_NAMES = {
    "R": "running", "S": "sleeping", "D": "disk sleep", "T": "stopped", "t": "tracing stop",
    "Z": "zombie", "X": "dead", "x": "dead", "K": "wakekill", "W": "waking", "P": "parked",
}


def state_letters(state: int) -> str:
    """A state as sched_switch prints it: letters joined by ``|``, ``R`` without any, ``+`` if preempted."""
    letters = [letter for bit, letter in enumerate(STATE_LETTERS[1:]) if state >> bit & 1]
    return ("|".join(letters) or "R") + ("+" if state & PREEMPTED else "")


def state_name(state: int) -> str:
    """A state as /proc/PID/status prints it: the lowest bit counts, as in ``P (parked)``."""
    letter = state_letters(state & (PREEMPTED - 1))[0]
    return f"{letter} ({_STATE_NAMES[letter]})"
