"""exec-dest-dies: the CPU that a task is to be moved to dies before the task is moved.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), race 1.
Linux: kernel/sched.c.

Before: not a released kernel, but what the fix's author met when exec lost the hotplug lock
(execer).  R execs on CPU1, and is to go to CPU2, which goes down.  MT1 is CPU1's migration thread.

    CPU0              CPU1
                      R: queue a request: me, to CPU2
    cpu_down(2)
      dead
                      R: wake MT1
                      MT1: move R to CPU2's runqueue, where nobody will ever run it

The migration thread did not ask whether the CPU was there.  After, it does so with
interrupts off, so that the answer is true until R is moved.

The fix's message lets CPU2 die after MT1 was woken.  That kernel is not preemptible, so a thread
of kstopmachine displaces R only after the wake-up.  Here it displaces R at once.
"""

from __future__ import annotations

from kemu.kernel.v2_6 import migration
from kemu.memory.views import Task
from kemu.races.execer import DEST, execer, race_of_execs, take_down
from kemu.harness.trial import Trial

race = race_of_execs(
    "exec-dest-dies", {"start[control]": "cpu_down(2)",
                       "kemu_panic": "R is queued on dead CPU2"},
    title="a task that execs is moved to a CPU that died since the request",
    expects="queued on dead cpu2",
    budget="jitter: a hit within 20 s")


@race.before(migration.__migrate_task)
def __migrate_task(p: Task, dest_cpu: int) -> None:
    """Without a look at dest."""
    migration.move_from_here(p, dest_cpu)


@race.actor(cpu=0)
def control(t: Trial) -> None:
    take_down(t, DEST)


race.force(hold=execer, at="migrate:queued", until=(control, "done"), kind="preemptible")
