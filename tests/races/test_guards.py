"""stop_two_cpus() against hotplug, guard by guard: which way each one is a promise, and which not.

             down, enabled until the park   up, active before it is enabled
cpu_active   refuses                        hit
enabled      hit                            refuses

The exhibits show the hits; here are the others, and what each side of the fix is for.
"""

from __future__ import annotations

from errno import ENOENT

import pytest

import kemu
from kemu.kernel import cpu_stop, sched, stop_machine
from kemu.kernel.hotplug import sched_cpu as hotplug
from kemu.machine.override import make_override
from kemu.races import exhibit, stopper_drops_work, stopper_drops_work_up
from kemu.harness.race import KINDS, Hold, Race
from kemu.harness.runner import Plan, run_race

TRIALS = 5

CPU_ACTIVE = [(stop_machine.cpu_stop_queue_two_works,
               stopper_drops_work_up.cpu_stop_queue_two_works)]
ENABLED_UNTIL_PARK = [(cpu_stop.stop_machine_park, stopper_drops_work.stop_machine_park),
                      (cpu_stop.cpu_stop_park, stopper_drops_work.cpu_stop_park)]
ACTIVE_EARLY = [(hotplug.sched_cpu_starting, stopper_drops_work_up.sched_cpu_starting)]

DOWN, UP = "stopper-drops-work", "stopper-drops-work-up"


@pytest.fixture
def before(monkeypatch):
    """before(name, functions, how): the exhibit's before side, made of these functions instead."""
    def run(name, functions, **plan):
        race: Race = exhibit(name)
        monkeypatch.setattr(race.side("before"), "overrides",
                            [make_override(now, then) for now, then in functions])
        side = run_race(race, Plan(**plan), ("before",)).before
        assert side.trials == plan["trials"]
        refused = ("it never hit", "was not held", "was never seen")    # a guard ends the script
        assert [doubt for doubt in side.doubts if not any(part in doubt for part in refused)] == []
        return side
    return run


@pytest.mark.parametrize(("name", "functions", "hits"), [
    pytest.param(DOWN, ENABLED_UNTIL_PARK, TRIALS, id="down-enabled"),
    pytest.param(DOWN, [*ENABLED_UNTIL_PARK, *CPU_ACTIVE], 0, id="down-cpu_active"),
    pytest.param(UP, [*ACTIVE_EARLY, *CPU_ACTIVE], TRIALS, id="up-cpu_active"),
    pytest.param(UP, CPU_ACTIVE, 0, id="up-cpu_active-last"),
    pytest.param(UP, ACTIVE_EARLY, 0, id="up-enabled")])
def test_forced(before, name, functions, hits):
    """The script of the exhibit, with one guard and one order.

    So of what stopper-drops-work-up replaces, nothing can be left out: without either function
    it does not hit.
    """
    assert before(name, functions, how="forced", trials=TRIALS).hits == hits


def look_then_queue(cpu1, work1, cpu2, work2):
    """The guard, with preemption left on."""
    if not (sched.cpu_active(cpu1) and sched.cpu_active(cpu2)):
        return -ENOENT
    kemu.point("two:active")
    cpu_stop.cpu_stop_queue_work(cpu1, work1)
    cpu_stop.cpu_stop_queue_work(cpu2, work2)
    return 0


@pytest.mark.parametrize(("guard", "hits"), [
    pytest.param(CPU_ACTIVE, 0, id="off"),
    pytest.param([(stop_machine.cpu_stop_queue_two_works, look_then_queue)], TRIALS, id="on")])
def test_look_and_queue_with_preemption(before, monkeypatch, guard, hits):
    """cpu_active guards the way down only because the CPU waits for readers with preemption off."""
    monkeypatch.setattr(exhibit(DOWN), "holds", [
        Hold("initiator", "two:active", "migration/1", "stopper:empty", KINDS["preemptible"]),
        Hold("downer", "start", "initiator", "two:active", KINDS["preemptible"])])
    side = before(DOWN, [*ENABLED_UNTIL_PARK, *guard], how="forced", trials=TRIALS)
    assert side.hits == hits


@pytest.mark.parametrize(("name", "functions"), [
    pytest.param(DOWN, [*ENABLED_UNTIL_PARK, *CPU_ACTIVE], id="down-cpu_active"),
    pytest.param(UP, ACTIVE_EARLY, id="up-enabled")])
def test_jitter(before, name, functions):
    """And with delays instead of a script."""
    assert before(name, functions, how="jitter", trials=200).hits == 0
