"""exec-deadlocks-flush: a task that execs wants the lock that a flush holds, and the flush waits for it.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), which takes
the hotplug lock out of exec.  Linux: kernel/sched.c, kernel/workqueue.c.

Before: 2.6.5-mm5, which did not boot with CPU hotplug configured.  Exec took the hotplug lock, a
plain semaphore, so that no CPU could go while the task was moved.  H is the helper that keventd
starts, and that execs (usermodehelper).

    CPU0                        keventd                     H
                                call_usermodehelper:
                                  start H, wait for it
    flush_scheduled_work()
      lock_cpu_hotplug()
      wait for keventd
                                                            exec
                                                              lock_cpu_hotplug(): CPU0 holds it

After, exec takes no lock.  That is what made exec-dest-dies, exec-dest-dies-early,
exec-source-dies and exec-request-stranded possible, which the same change deals with.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.v2_6 import migration
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.workqueue import flush_scheduled_work
from kemu.machine.override import original_of
from kemu.memory.views import Task
from kemu.races.usermodehelper import HELPER, exec_is_under_way, race_with_a_helper, wait_for_the_work

race = race_with_a_helper(
    "exec-deadlocks-flush", caller_cpu=1, cpus=2,
    origin="released: 2.6.5-mm5, where exec takes the hotplug lock, a plain semaphore",
    title="exec takes the hotplug lock, and flush_workqueue() holds it while it waits for the exec",
    labels={"start[flusher]": "flush_scheduled_work()",
            "flush:waiting[flusher]": "  hotplug lock held: wait for keventd"})
race.witness("flush-during-exec", "the flush began when H had been started, and had not execed yet")


@race.before(migration.sched_migrate_task)
def sched_migrate_task(p: Task, dest_cpu: int) -> None:
    """With the hotplug lock held."""
    with cpu_hotplug_locked():
        original_of(migration.sched_migrate_task)(p, dest_cpu)


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    too_early = kemu.Word()     # the flush returned before the work that it had found


@race.actor(cpu=0)
def flusher(t: Trial) -> None:
    with t.window():
        wait_for_the_work(t)
        under_way = exec_is_under_way()
        if under_way:
            t.witness("flush-during-exec")
        flush_scheduled_work()
        Stage.on(0).too_early.store(int(under_way and exec_is_under_way()))


@race.postcondition
def flush_waits(t: Trial) -> None:
    """flush_scheduled_work() returns after the works that were queued when it was called."""
    assert not Stage.on(0).too_early.load(), "the flush returned while the work was under way"


race.force(hold=flusher, at="start", until=(HELPER, "helper:execs"), kind="preemptible")
race.force(hold=HELPER, at="helper:execs", until=(flusher, "flush:waiting"), kind="preemptible",
           early=True)
