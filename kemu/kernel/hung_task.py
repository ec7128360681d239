"""khungtaskd: finds a task that sleeps uninterruptibly and is not woken.

Linux: kernel/hung_task.c (v4.13), with hung_task_panic set.  Not modelled: the sysctls; it looks
five times in each limit, where Linux looks once.

A task that stays in TASK_UNINTERRUPTIBLE for longer than the limit, and that no CPU has switched to
meanwhile, is reported in Linux's words:

    INFO: task clerk:12 blocked for more than 2 seconds.

A new kernel thread that no task has woken yet sleeps in that state, and is reported too, as in Linux.

Only time in which the machine ran counts.  If khungtaskd itself was late, the host did not run it.
If the watchdog of a CPU is late, the process of that CPU was stopped, or something keeps the CPU,
which the watchdog reports.  If a script holds a task at a point, the others may have to wait for it.
In these cases the time since the look before does not count for any task.

It is off unless the machine was booted with Machine(watchdog=, hung_task=seconds).  The threshold of
the watchdog is at most the limit, so that a CPU is found late before the limit is over.

Locks: none.  Callers: init.
"""

from __future__ import annotations

from kemu import native
from kemu.kernel.arch import is_stopped
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.kthread import kthread_run, kthread_should_stop
from kemu.kernel.own.system import system
from kemu.kernel.panic import Kind, panic
from kemu.kernel.sched.state import TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, set_current_state
from kemu.kernel.sched.timer import schedule_timeout
from kemu.kernel.watchdog import is_late
from kemu.memory.points import Hold
from kemu.memory.views import Task
from kemu.native import now_ns

LOOKS = 5                   # in each limit

Sleeps = dict[tuple[int, int, int], int]
"""How long each task has slept, in ns: by its slot, the slot's generation, its count of switches."""


def watchdog(limit: int) -> int:
    """khungtaskd's function: look at all tasks, sleep, and again.  limit: in nanoseconds."""
    interval, sleeps, before = limit // LOOKS, Sleeps(), now_ns()
    while not kthread_should_stop():
        set_current_state(TASK_INTERRUPTIBLE)
        schedule_timeout(max(1, interval // system.header.tick_ns.load()))
        now = now_ns()
        passed, before = now - before, now
        counts = passed < 2 * interval and not _someone_stands_still()
        sleeps = check_hung_uninterruptible_tasks(sleeps, passed if counts else 0, limit)
    return 0


def _someone_stands_still() -> bool:
    """Whether a CPU is not run, or a script holds a task."""
    if any(is_late(cpu) or is_stopped(cpu) for cpu in online_cpus()):
        return True
    return any(Hold(system.memory, number).state.load() == native.HOLD_HELD
               for number in range(native.MAX_HOLDS))


def check_hung_uninterruptible_tasks(sleeps: Sleeps, passed: int, limit: int) -> Sleeps:
    """Add the time that has passed to each sleep that goes on.  Stops the machine if one is too long."""
    found = Sleeps()
    for p in system.tasks.used():
        switches = p.nvcsw.load() + p.nivcsw.load()
        if p.state.load() == TASK_UNINTERRUPTIBLE and switches:
            sleep = p.slot, p.generation.load(), switches
            found[sleep] = sleeps[sleep] + passed if sleep in sleeps else 0
            if found[sleep] >= limit:
                report_hung_task(p, limit)
    return found


def report_hung_task(p: Task, limit: int) -> None:
    """Stop the machine (Linux: check_hung_task)."""
    panic(Kind.HANG, f"INFO: task {p.comm}:{p.pid.load()} blocked for more than {limit / 1e9:g} seconds.")


def hung_task_init(seconds: float) -> None:
    """Start khungtaskd.  Runs at boot.  May sleep."""
    kthread_run(watchdog, int(seconds * 1e9), "khungtaskd")
