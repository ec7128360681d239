"""exec-source-dies: the migration thread to be woken is gone, and so is the pointer to it.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), race 3.
Linux: kernel/sched.c.

Before: not a released kernel, but what the fix's author met when exec lost the hotplug lock
(execer).  R execs on CPU1, which goes down.

    CPU0              CPU1                      CPU2
                      R: queue a request, unlock
    cpu_down(1)
                      R is moved away
      dead
      stop MT1
      rq->migration_thread = NULL
                                                R: wake_up_process(rq->migration_thread)

R looked the thread up after it had unlocked the runqueue, where R may be preempted and its CPU
may go.  After, R looks it up, and takes a reference, under the lock under which it queued the
request: then CPU1 is alive.
"""

from __future__ import annotations

from kemu.harness.trial import Trial
from kemu.kernel.own.point import point
from kemu.kernel.sched.completion import wait_for_completion
from kemu.kernel.sched.runqueue import task_rq_unlock
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.v2_6 import migration
from kemu.memory.views import Cpu, Task
from kemu.races.execer import SOURCE, execer, race_of_execs, take_down

race = race_of_execs(
    "exec-source-dies", {"start[control]": "cpu_down(1)",
                         "kemu_panic": "wake_up_process(NULL)"},
    title="a task that execs wakes the migration thread of a CPU that has died",
    expects="NULL pointer dereference",
    budget="jitter: a hit within 20 s")


@race.before(migration.wait_for_migration)
def wait_for_migration(rq: Cpu, p: Task, flags: int, req: migration.MigrationReq) -> None:
    """Unlock first, then look the thread up."""
    task_rq_unlock(rq, p, flags)
    point("migrate:queued")
    wake_up_process(migration.Migration.on(rq.cpu).thread.get())
    wait_for_completion(req.done)


@race.actor(cpu=0)
def control(t: Trial) -> None:
    take_down(t, SOURCE)


race.force(hold=execer, at="migrate:queued", until=(control, "done"), kind="preemptible")
