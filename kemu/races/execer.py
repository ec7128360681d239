"""A task that execs while a CPU goes down: the stage of seed 001's races.

Three CPUs of a machine that runs 2.6.6:

    CPU0    the hotplug task                                  control
    CPU1    R, which execs, and two that keep the CPU busy,   execer, neighbour, another
            so that R is better off elsewhere
    CPU2    idle: where R goes

If CPU1 dies, its tasks go to CPU2 together, and R gets its turn there last.
"""

from __future__ import annotations

from typing import Any

import kemu
from kemu.harness.race import Race
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.kernel.cpumask import for_each_cpu
from kemu.kernel.own.system import system
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up
from kemu.kernel.v2_6.migration import sched_balance_exec, set_cpus_allowed

SOURCE, DEST = 1, 2
HERE, BOTH = 1 << SOURCE, 1 << SOURCE | 1 << DEST
SEED = "seed 001, 2.6.6"


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    down = kemu.Word()      # the CPU is down: nobody need go on


def execer(t: Trial) -> None:
    """R: exec, be put back, and again, until the CPU is down."""
    stage, me = Stage.on(0), sched.current()
    with t.window():
        while not stage.down.load():
            sched_balance_exec()
            set_cpus_allowed(me, HERE)
            set_cpus_allowed(me, BOTH)


def neighbour(t: Trial) -> None:
    while not Stage.on(0).down.load():
        sched.cpu_relax()


def another(t: Trial) -> None:
    neighbour(t)


def take_down(t: Trial, cpu: int) -> None:
    """What control does."""
    with t.window():
        cpu_down(cpu)
        Stage.on(0).down.store(1)


def put_on_source(t: Trial) -> None:
    """Where the last trial has left them is no place to start."""
    for who in (neighbour, another, execer):
        set_cpus_allowed(t.task(who), HERE)
        set_cpus_allowed(t.task(who), BOTH)


def bring_up(t: Trial) -> None:
    for cpu in for_each_cpu(system.header.possible_mask.load() & ~system.header.online_mask.load()):
        cpu_up(cpu)


def race_of_execs(name: str, labels: dict[str, str], **options: Any) -> Race:
    """A race on this stage; it lacks control, and what stood there before the fix."""
    race = Race(name, cpus=3, placement=(0, 1, 0), kernel="2.6.6", fix=SEED,
                names={"execer": "R", "migration/1": "MT1"}, labels=LABELS | labels, **options)
    for who in (neighbour, another, execer):
        race.actor(cpu=SOURCE)(who)
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
