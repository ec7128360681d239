"""Wrong fixes: for each exhibit, the functions of its story, each of them broken in some way.

No wrong fix may be judged CLEAN.  Each one breaks the side after:

    left out        a function of the fix is as it was before
    empty           a function of the story does nothing
    refuses         it returns an errno
    twice           it does twice what it does
    without `...`   a function of the fix lacks one statement (left_out)

equivalent.py lists those that do what the fix does, each with its reason.

The suite tries all but the last kind, and what is not equivalent.  All of them, in many minutes, or with
jitter or more trials:

    python -m tests.races.wrong_fixes [--how HOW] [--seconds S] [NAME ...]
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import kemu
from kemu.harness import side_run
from kemu.harness.race import Race
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
from kemu.machine.override import Override
from kemu.races import FORCED, exhibit, lost_wakeup
from tests.races.equivalent import ANYWHERE, BY_CHANCE, IN_RACE
from tests.races.left_out import without_each_statement

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


HEAD = "def {name}({names}):\n    "
WRONG = {"empty": "return None", "refuses": "return -22",
         "twice": "{whole}({names})\n    return {whole}({names})"}


class WrongOverride(Override):
    """An override whose replacement is compiled anew in each process, in the module of its function.

    A replacement that travels by value would have a copy of the module's globals.
    """

    def __reduce__(self) -> Any:
        return compiled, self.arguments     # type: ignore[attr-defined]


def compiled(target: Callable[..., Any], module: str, name: str, source: str) -> Override:
    """The override of ``target`` by the function of that name in ``source``, which is code of ``module``.

    It travels by value, and therefore imports what it needs.  ``original`` is the replaced function there.
    """
    import __future__
    import importlib

    from kemu.machine.override import Override, original_of

    scope: dict[str, Any] = {}
    code = compile(source, f"<wrong {name}>", "exec", __future__.annotations.compiler_flag, True)
    there = vars(importlib.import_module(module))
    there.setdefault("original_of", original_of)
    exec(code, there, scope)
    return Override(target, scope[name])    # type: ignore[arg-type]


@dataclass(frozen=True)
class WrongFix:
    """A function of a race's story, and what stands in its place after the fix."""

    race: str
    target: Callable[..., Any]
    how: str
    override: Override

    def __str__(self) -> str:
        return f"{self.race}-{self.target.__name__}-{self.how}"

    @property
    def equivalent(self) -> str:
        """Why it does what the fix does; "" if it does not."""
        entry = self.race, *self.anywhere
        return ANYWHERE.get(self.anywhere, "") or IN_RACE.get(entry, "") or BY_CHANCE.get(entry, "")

    @property
    def anywhere(self) -> tuple[str, str]:
        """What it is in any race."""
        return self.target.__name__, self.how


def fixed_by(race: Race, target: Callable[..., Any]) -> Callable[..., Any]:
    """The function that stands in the place of ``target`` on the side after."""
    found = [one.replacement for one in race.side("after").overrides if one.target is target]
    return found[0] if found else target


def of_the_fix(race: Race) -> list[Callable[..., Any]]:
    """The functions that the fix changed."""
    sides = [*race.side("before").overrides, *race.side("after").overrides]
    return list(dict.fromkeys(one.target for one in sides))


def _wrong(race: Race, target: Callable[..., Any], how: str, source: str) -> WrongFix:
    fixed = fixed_by(race, target)
    given = target, fixed.__module__, fixed.__name__, source
    override = WrongOverride(target, compiled(*given).replacement)      # type: ignore[arg-type]
    object.__setattr__(override, "arguments", given)
    return WrongFix(race.name, target, how, override)


def _broken(race: Race, target: Callable[..., Any], how: str) -> WrongFix:
    """A function of the story that is empty, that refuses, or that does all twice."""
    fixed, names = fixed_by(race, target), ", ".join(inspect.signature(target).parameters)
    whole = fixed.__name__ if fixed is not target else f"original_of({target.__name__})"
    words = {"name": fixed.__name__, "names": names, "whole": whole}
    return _wrong(race, target, how, (HEAD + WRONG[how]).format(**words))


def parts_left_out(race: Race) -> Iterator[WrongFix]:
    """Each function of the fix as it was before; of a fix that is not in kemu's kernel, as it is there."""
    for override in race.side("before").overrides:
        yield WrongFix(race.name, override.target, "left out", override)


def broken_functions(race: Race) -> Iterator[WrongFix]:
    """Each function of the story, broken as a whole."""
    for target in STORIES[race.name]:
        for how in WRONG:
            if how != "refuses" or inspect.signature(target).return_annotation != "None":
                yield _broken(race, target, how)    # without a result, to refuse is to do nothing


def statements_left_out(race: Race) -> Iterator[WrongFix]:
    """Each function of the fix without one of its statements."""
    for target in of_the_fix(race):
        for statement, source in without_each_statement(fixed_by(race, target)):
            yield _wrong(race, target, f"without `{statement}`", source)


def wrong_fixes(name: str) -> list[WrongFix]:
    """What the suite tries of an exhibit."""
    race = exhibit(name)
    return [fix for fix in [*parts_left_out(race), *broken_functions(race)] if not fix.equivalent]


def every_wrong_fix(name: str) -> list[WrongFix]:
    """All of an exhibit, also those that do what the fix does."""
    race = exhibit(name)
    return [*parts_left_out(race), *broken_functions(race), *statements_left_out(race)]


def judge(fix: WrongFix, plan: Plan) -> str:
    """What kemu says of the exhibit's after side with the wrong fix in place."""
    race = exhibit(fix.race).copy()
    after = race.side("after")      # which may have the fix itself
    after.overrides[:] = [one for one in after.overrides if one.target is not fix.target] + [fix.override]
    try:
        side = run_race(race, plan, ("after",)).after
    except kemu.KemuError as error:
        return f"refused: {str(error).splitlines()[0]}"
    why = (side.failure.splitlines() or side.doubts or [""])[0]
    return f"{side.verdict.value}: {why}"


def is_clean(said: str) -> bool:
    return said.startswith(Verdict.CLEAN.value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(FORCED))
    parser.add_argument("--how", default="forced")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args()
    side_run.STUCK_SECONDS = 2.0
    plan = Plan(given.how, trials=None if given.seconds else given.trials, seconds=given.seconds)
    tried, clean = [], set()
    for fix in (fix for name in given.names or FORCED for fix in every_wrong_fix(name)):
        said = judge(fix, plan)
        print(f"{fix!s:<90} {said:.120}", flush=True)
        tried.append(fix)
        clean |= {fix} if is_clean(said) else set()
    wrong = [str(fix) for fix in clean if not fix.equivalent]
    stale = list(stale_entries(tried, clean))
    listed = sum(bool(fix.equivalent) for fix in tried)
    print(f"{len(tried)} wrong fixes.  {listed} are listed as equivalent.  Of the others {len(wrong)} are "
          "judged CLEAN.", *wrong, sep="\n    ")
    print(f"{len(stale)} entries of equivalent.py were not judged CLEAN.", *stale, sep="\n    ")
    return int(bool(wrong or stale))


def stale_entries(tried: list[WrongFix], clean: set[WrongFix]) -> Iterator[str]:
    """What the tables call equivalent, of what was tried, and no run has judged CLEAN."""
    for entry in sorted({fix.anywhere for fix in tried} & set(ANYWHERE) - {fix.anywhere for fix in clean}):
        yield "-".join(entry)
    for fix in tried:
        if (fix.race, *fix.anywhere) in IN_RACE and fix not in clean:
            yield str(fix)


if __name__ == "__main__":
    sys.exit(main())
