"""exec-request-stranded: a CPU dies with a request in its queue, and the requester sleeps for ever.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), race 4.
Linux: kernel/sched.c.

Before: not a released kernel, but what the fix's author met when exec lost the hotplug lock
(execer).  R execs on CPU1, which goes down.

    CPU0              CPU1                      CPU2
                      R: queue a request, unlock
    cpu_down(1)
                      R is moved away
      dead
      stop MT1:       (MT1 exits: it looks at should_stop first)
                                                R: wake MT1, which is gone
                                                R: wait_for_completion(request), for ever

Nothing looked at the queue again, and the queue points into R's frame.  After, the hotplug task
completes what is left, and does not carry it out, after it has stopped MT1.  If it did so any
sooner, a request that comes in between would be lost again.
"""

from __future__ import annotations

from kemu.harness.trial import Trial
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.v2_6 import migration, migration_call
from kemu.races.execer import SOURCE, execer, race_of_execs, take_down

race = race_of_execs(
    "exec-request-stranded", {"start[control]": "cpu_down(1)",
                              "sched_switch[execer]": "R runs",
                              "sched_wait[execer]": "  wait for the request"},
    title="a task that execs waits for a request that a dead CPU's thread has left",
    budget="jitter: a hit within 20 s")


@race.before(migration_call.migration_dead)
def migration_dead(cpu: int) -> None:
    """Stop the thread, and no more."""
    migration_call.stop_migration_thread(cpu)


@race.actor(cpu=0)
def control(t: Trial) -> None:
    take_down(t, SOURCE)


@race.invariant(at="quiescence")
def no_request_is_stranded(t: Trial) -> None:
    """A dead CPU has no requests (S83)."""
    mine = migration.Migration.on(SOURCE)
    for node in [] if cpu_online(SOURCE) else mine.queue.nodes():
        who = migration.MigrationReq(mine.memory, node).task.get()
        raise AssertionError(f"{who.comm} waits for a request in the queue of dead cpu{SOURCE}, "
                             f"whose migration thread has exited")


race.force(hold=execer, at="migrate:queued", until=(control, "done"), kind="preemptible")
