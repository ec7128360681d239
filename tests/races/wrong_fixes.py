"""Wrong fixes: for each exhibit, the functions of its story, each of them broken in some way.

No wrong fix may be judged CLEAN.  The test runs them forced.  By hand, with jitter or with
more trials:

    python -m tests.races.wrong_fixes [--how HOW] [--seconds S] [NAME ...]
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import kemu
from kemu.harness import side_run
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict
from kemu.kernel import cpu_stop, kthread, smpboot, stop_machine
from kemu.kernel.hotplug import cpu, sched_cpu
from kemu.kernel.sched import migration as affinity
from kemu.kernel.sched import policy
from kemu.kernel.sched import state as sched_state
from kemu.kernel.v2_6 import cpu as old_cpu
from kemu.kernel.v2_6 import kthread as old_kthread
from kemu.kernel.v2_6 import migration, migration_call, workqueue
from kemu.machine.override import original_of
from kemu.races import FORCED, exhibit, lost_wakeup

PARK = [kthread.__kthread_parkme, kthread.__kthread_bind, kthread.__kthread_unpark,
        kthread.kthread_unpark, kthread.kthread_park, sched_state.set_special_state]
TWO = [stop_machine.cpu_stop_queue_two_works, stop_machine.stop_two_cpus,
       cpu_stop.cpu_stopper_thread]
HOTPLUG = [cpu.cpu_up, cpu.cpu_down, cpu.cpuhp_online_idle, cpu.bringup_wait_for_ap,
           cpu_stop.stop_machine_unpark]
EXEC = [migration.sched_balance_exec, migration.sched_migrate_task, migration.__migrate_task,
        migration.wait_for_migration, migration.migrate_task, migration_call.migration_dead,
        migration_call.stop_migration_thread]
KEVENTD = [migration.sched_migrate_task, workqueue.queue_work, workqueue.run_workqueue]

STORIES: dict[str, list[Callable[..., Any]]] = {
    "lost-wakeup": [lost_wakeup.wait_for_work],
    "unpark-wrong-cpu": [f for f in PARK if f is not kthread.kthread_park],
    "stop-class-while-queued": [smpboot.run_create_hook, policy.sched_set_stop_task,
                                kthread.kthread_create_on_cpu],
    "parked-store-collides": [kthread.__kthread_unpark, kthread.kthread_unpark,
                              kthread.kthread_park, sched_state.set_special_state],
    "park-returns-early": [kthread.__kthread_parkme, kthread.kthread_park, kthread.kthread_unpark],
    "stale-is-parked": [kthread.__kthread_unpark, kthread.kthread_park],
    "register-misses-cpu": [smpboot.smpboot_register_percpu_thread,
                            smpboot.smpboot_register_online, smpboot.smpboot_unpark_thread],
    "bind-loses-mask": [kthread.kthread_bind, kthread.__kthread_bind],
    "stop-of-parked": [kthread.kthread_stop, kthread.__kthread_unpark],
    "stopper-drops-work": [*TWO, cpu_stop.stop_machine_park, cpu.cpu_down],
    "stopper-drops-work-up": [*TWO, *HOTPLUG, sched_cpu.sched_cpu_activate],
    "unpark-from-idle": HOTPLUG,
    "stopper-enabled-late": [*HOTPLUG, affinity.set_cpus_allowed_ptr],
    "exec-deadlocks-flush": [*KEVENTD, workqueue.flush_workqueue, workqueue.flush_cpu_workqueue],
    "exec-deadlocks-cpu-up": [*KEVENTD, old_kthread.kthread_create, old_cpu.cpu_up],
    "exec-dest-dies": EXEC,
    "exec-dest-dies-early": EXEC,
    "exec-source-dies": EXEC,
    "exec-request-stranded": [*EXEC, migration_call.drain_requests],
}


def empty(target: Callable[..., Any], names: str) -> str:
    return f"def wrong({names}): return None"


def refuses(target: Callable[..., Any], names: str) -> str:
    return f"def wrong({names}): return -22"


def twice(target: Callable[..., Any], names: str) -> str:
    return (f"def wrong({names}):\n    original_of(target)({names})\n"
            f"    return original_of(target)({names})")


@dataclass(frozen=True)
class WrongFix:
    """A function of a race's story, and what stands in its place after the fix."""

    race: str
    target: Callable[..., Any]
    how: str
    wrong: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.race}-{self.target.__name__}-{self.how}"


def _written(target: Callable[..., Any], how: Callable[..., str]) -> Callable[..., Any]:
    names = ", ".join(inspect.signature(target).parameters)
    scope: dict[str, Any] = {"target": target, "original_of": original_of, "__name__": "__main__"}
    exec(how(target, names), scope)
    wrong: Callable[..., Any] = scope["wrong"]
    return wrong


# Done twice, these do what they do once: that is no wrong fix.  What each is twice:
IDEMPOTENT = {
    "wait_for_work": "the second wait finds the work", "__kthread_parkme": "the second sees no SHOULD_PARK",
    "__kthread_bind": "the same mask, the same flag", "__kthread_unpark": "IS_PARKED is clear",
    "kthread_unpark": "IS_PARKED is clear", "kthread_park": "IS_PARKED is set",
    "set_special_state": "the same state", "kthread_bind": "the same mask, the same flag",
    "sched_set_stop_task": "the same office", "smpboot_unpark_thread": "IS_PARKED is clear",
    "run_create_hook": "the same office", "cpu_stopper_thread": "the list is empty",
    "stop_machine_park": "the same flag, IS_PARKED is clear until the thread parks",
    "stop_machine_unpark": "the same flag", "cpu_down": "-EINVAL is not looked at",
    "cpu_up": "the CPU is up", "sched_cpu_activate": "the same bit",
    "set_cpus_allowed_ptr": "the same mask", "sched_migrate_task": "the task is there",
    "sched_balance_exec": "the task is there", "__migrate_task": "the task is not here any more",
    "migration_dead": "see stop_migration_thread", "drain_requests": "the queue is empty",
    "run_workqueue": "the list is empty", "queue_work": "the work is pending",
    "flush_workqueue": "nothing is left", "flush_cpu_workqueue": "nothing is left",
    "smpboot_register_percpu_thread": "refused, which ends the trial",
    "smpboot_register_online": "refused, which ends the trial",
    "kthread_stop": "it returns what it returned",
}


# A part of a fix that, left out alone, changes nothing: the race does not come back.
# Pairs of a race and a function that refuses in its trials, so that a second call refuses too.
REFUSED = {("stopper-drops-work-up", "cpu_stop_queue_two_works"),
           ("stopper-drops-work-up", "stop_two_cpus")}

HARMLESS = {
    ("stopper-drops-work", "cpu_stop_park"): "it drains a list that stop_machine_park has left empty",
    ("stopper-drops-work-up", "cpu_stop_queue_two_works"): "CPUs become active last: see test_guards",
    ("park-returns-early", "__kthread_parkme"): "kthread_park() waits whatever the thread says first",
    ("exec-dest-dies-early", "__migrate_task"): "sched_migrate_task looks at dest before",
    ("exec-dest-dies-early", "sched_migrate_task"): "__migrate_task looks at dest again",
    ("exec-deadlocks-cpu-up", "sched_migrate_task"): "cpu_up and cpu_down do not take that semaphore",
    ("stopper-enabled-late", "bringup_wait_for_ap"): "it enables a stopper that is enabled",
    ("stopper-drops-work-up", "sched_cpu_starting"): "nothing looks at active: see test_guards",
}


def wrong_fixes(name: str) -> Iterator[WrongFix]:
    """Every wrong fix of an exhibit: broken functions, and each part of the fix left out alone."""
    for override in exhibit(name).side("before").overrides:
        if (name, override.target.__name__) not in HARMLESS:
            yield WrongFix(name, override.target, "left out", override.replacement)
    for target in STORIES[name]:
        for how in (empty, refuses, twice):
            if how is refuses and inspect.signature(target).return_annotation == "None":
                continue        # it has no result, so to refuse is to do nothing
            if how is not twice or not (target.__name__ in IDEMPOTENT or (name, target.__name__) in REFUSED):
                yield WrongFix(name, target, how.__name__, _written(target, how))


def judge(fix: WrongFix, plan: Plan) -> str:
    """What kemu says of the exhibit's after side with the wrong fix in place."""
    race = exhibit(fix.race).copy()
    after = race.side("after")      # which may have the fix itself
    after.overrides[:] = [one for one in after.overrides if one.target is not fix.target]
    race.after(fix.target)(fix.wrong)
    try:
        side = run_race(race, plan, ("after",)).after
    except kemu.KemuError as error:
        return f"refused: {str(error).splitlines()[0]}"
    why = (side.failure.splitlines() or side.doubts or [""])[0]
    return f"{side.verdict.value}: {why}"


def is_clean(said: str) -> bool:
    return said.startswith(Verdict.CLEAN.value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FORCED))
    parser.add_argument("--how", default="forced")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    side_run.STUCK_SECONDS = 2.0
    clean = total = 0
    for name in given.names or FORCED:
        for fix in wrong_fixes(name):
            said = judge(fix, Plan(given.how, trials=None if given.seconds else given.trials,
                                   seconds=given.seconds))
            total += 1
            clean += is_clean(said)
            print(f"{fix!s:<70} {said:.120}", flush=True)
    print(f"{total} wrong fixes, {clean} judged CLEAN")
    return int(clean > 0)


if __name__ == "__main__":
    raise SystemExit(main())
