"""A task that execs while a CPU goes down: the stage of four races of 2004.

Until April 2004, exec held the hotplug lock while it moved the task.  That led to deadlocks
(exec-deadlocks-flush, exec-deadlocks-cpu-up).  "sched-hotplug-cpu-sched_balance_exec-fix" took the lock
away.  Its author met these races when the lock was gone, and the same change deals with them.
So no released kernel ever had them.  Their before side is that change without its answer to
the race.

Three CPUs of a machine that runs 2.6.6:

    CPU0    the hotplug task                                  control
    CPU1    R, which execs, and two tasks that keep the CPU   execer, neighbour, another
            busy, so that R is better off elsewhere
    CPU2    idle: where R goes

If CPU1 dies, its tasks go to CPU2 together, and R gets its turn there last.
"""

from __future__ import annotations

from typing import Any

import kemu
from kemu.harness.race import Race
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.kernel.cpumask import cpu_online, for_each_cpu
from kemu.kernel.own.system import system
from kemu.kernel.v2_6.audit import audit_hotplug
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up
from kemu.kernel.v2_6.migration import (sched_balance_exec, sched_migrate_task,
                                        set_cpus_allowed)

SOURCE, DEST = 1, 2
HERE, BOTH, ALL = 1 << SOURCE, 1 << SOURCE | 1 << DEST, 0b111
FIX = "sched_balance_exec-fix"
ORIGIN = "described: 2.6.6-rc2-mm1 with the hotplug lock taken out of exec, and nothing else done"
DIED_INSIDE = "the CPU died while R was inside sched_balance_exec()"


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    down = kemu.Word()      # the CPU is down: the others may end
    inside = kemu.Word()    # R is in an exec that it began with all CPUs up
    stayed = kemu.Word()    # an exec with all CPUs up left R on the busy CPU


def all_up() -> bool:
    return bool(system.header.online_mask.load() == ALL)


def execer(t: Trial) -> None:
    """R: exec, be put back, and again, until the CPU is down."""
    stage, me = Stage.on(0), sched.current()
    with t.window():
        while not stage.down.load():
            stage.inside.store(int(all_up()))
            sched_balance_exec()
            here = sched.smp_processor_id()
            if stage.inside.load() and all_up() and here != DEST:
                stage.stayed.store(1)
            stage.inside.store(0)
            set_cpus_allowed(me, HERE)
            set_cpus_allowed(me, BOTH)


def neighbour(t: Trial) -> None:
    """Be busy until the CPU is down."""
    while not Stage.on(0).down.load():
        sched.cpu_relax()


def another(t: Trial) -> None:
    neighbour(t)


def take_down(t: Trial, cpu: int) -> None:
    """What control does: take the CPU down, and look whether R is still in its exec."""
    with t.window():
        cpu_down(cpu)
        if Stage.on(0).inside.load():
            t.witness("died-inside")
        Stage.on(0).down.store(1)


def put_on_source(t: Trial) -> None:
    """The last trial has left them on other CPUs."""
    for who in (neighbour, another, execer):
        set_cpus_allowed(t.task(who), HERE)
        set_cpus_allowed(t.task(who), BOTH)


def bring_up(t: Trial) -> None:
    for cpu in for_each_cpu(system.header.possible_mask.load() & ~system.header.online_mask.load()):
        cpu_up(cpu)


def exec_moves_the_task(t: Trial) -> None:
    """An exec that no hotplug disturbed took R from the busy CPU to the idle one."""
    assert not Stage.on(0).stayed.load(), "R execed with all CPUs up, and stayed on the busy CPU"
    task = t.task(execer)
    assert cpu_online(task.cpu.load()), f"R is on CPU{task.cpu.load()}, which is offline"


def requests_are_carried_out(t: Trial) -> None:
    """The CPU that is left beside CPU0 takes a task that runs.  Runs in the referee, on CPU0."""
    me = sched.current()
    mask, other = me.cpus_allowed.load(), DEST if cpu_online(DEST) else SOURCE
    set_cpus_allowed(me, 1 | 1 << other)
    sched_migrate_task(me, other)
    there = sched.smp_processor_id()
    sched_migrate_task(me, 0)
    set_cpus_allowed(me, mask)
    assert there == other, f"sched_migrate_task(CPU{other}) left its caller on CPU{there}"


def dead_cpu_keeps_nothing(t: Trial) -> None:
    """With the CPU down, its migration thread and its requests are gone (S81, S83), and its tasks freed."""
    found = audit_hotplug()
    assert not found, found[0]
    ended = [p.comm for p in system.tasks.used() if p.ended.load()]
    assert not ended, f"{ended[0]} has ended, and is not freed: a reference to it is left"


def race_of_execs(name: str, labels: dict[str, str], **options: Any) -> Race:
    """A race on this stage.  Its file adds control, and what the fix replaced."""
    race = Race(name, cpus=3, placement=(0, 1, 0), kernel="2.6.6", fix=FIX, origin=ORIGIN,
                names={"execer": "R", "migration/1": "MT1"}, labels=LABELS | labels, **options)
    for who in (neighbour, another, execer):
        race.actor(cpu=SOURCE)(who)
    race.witness("died-inside", DIED_INSIDE)
    race.takes_turns("exec ends the old thread of R on R's new CPU, in the process of the old one")
    race.postcondition(dead_cpu_keeps_nothing)
    race.postcondition(exec_moves_the_task)
    race.postcondition(requests_are_carried_out)
    race.prepare(put_on_source)
    race.conclude(bring_up)
    return race


LABELS = {
    "exec:chosen[execer]": "exec: CPU2 is idle",
    "migrate:queued[execer]": "  queue a request, unlock",
    "sched_waking[migration/1]": "  (wake MT1)",
    "sched_migrate_task[execer]": "R is moved to CPU{c}",
    "cpu_down:dead[control]": "  dead",
    "migration:exits[migration/1]": "MT1 exits",
    "done[control]": "it is down",
}
