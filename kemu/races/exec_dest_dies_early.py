"""exec-dest-dies-early: the CPU that was chosen dies before there is even a request.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), race 2.
Linux: kernel/sched.c.

Before: not a released kernel, but what the fix's author met when exec lost the hotplug lock
(execer).  R execs on CPU1 and has chosen CPU2, which goes down.

    CPU0              CPU1
                      R: CPU2 is the idlest
    cpu_down(2)
      dead
                      R: queue a request: me, to CPU2; wake MT1
                      MT1: move R to CPU2's runqueue, where nobody will ever run it

Preemption is on between the choice and the request, because R sleeps until the request is done.
The answer to exec-dest-dies covers this race too.  The change looks at dest once more before the
request is made, so that MT1 is not woken for nothing.
"""

from __future__ import annotations

from kemu.harness.trial import Trial
from kemu.kernel.sched.runqueue import task_rq_lock, task_rq_unlock
from kemu.kernel.v2_6 import migration
from kemu.memory.views import Task
from kemu.races.exec_dest_dies import __migrate_task
from kemu.races.execer import DEST, execer, race_of_execs, take_down

race = race_of_execs(
    "exec-dest-dies-early", {"start[control]": "cpu_down(2)",
                             "kemu_panic": "R is queued on dead CPU2"},
    title="a task that execs asks to be moved to a CPU that died since it was chosen",
    expects="queued on dead cpu2",
    budget="jitter: a hit within 20 s")

race.before(migration.__migrate_task)(__migrate_task)


@race.before(migration.sched_migrate_task)
def sched_migrate_task(p: Task, dest_cpu: int) -> None:
    """Without a look at dest."""
    with migration.migration_req() as req:
        rq, flags = task_rq_lock(p)
        if p.cpus_allowed.load() >> dest_cpu & 1 and migration.migrate_task(p, dest_cpu, req):
            migration.wait_for_migration(rq, p, flags, req)
        else:
            task_rq_unlock(rq, p, flags)


@race.actor(cpu=0)
def control(t: Trial) -> None:
    take_down(t, DEST)


race.force(hold=execer, at="exec:chosen", until=(control, "done"), kind="preemptible")
