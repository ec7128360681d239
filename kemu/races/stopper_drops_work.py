"""stopper-drops-work: a stop work is accepted by a CPU that dies, and never runs.

Fix: 233e7f267e58 (Linux 4.4), "stop_machine: Ensure that a queued callback will be called
before cpu_stop_park()".  Linux: kernel/stop_machine.c, kernel/cpu.c.

CPU1 goes down while CPU2 wants to stop itself and CPU1 together.

    CPU0              CPU1 (its stopper)                    CPU2
    cpu_down(1)       take_cpu_down(): park me
                      no work left
                                                            stop_two_cpus(2, 1)
                                                              queued on both: accepted
                      cpu_stop_park(): drain the list:
                        complete the work, not run
                                                            multi_cpu_stop: waits for
                                                            CPU1 for ever

Before, the stopper refused works only once it had drained its list as it parked.  After,
it refuses them from take_cpu_down() on, and runs what it had accepted.

This is the down-race, with no guard against hotplug in stop_two_cpus().  The guard
there was (cpu_active) hides it, but not its twin on the way up: stopper-drops-work-up.
"""

from __future__ import annotations

from typing import cast

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import cpu_stop, kthread, stop_machine
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug import cpu
from kemu.kernel.own.system import system
from kemu.memory.views import Task
from kemu.native import smp_processor_id

race = kemu.Race(
    "stopper-drops-work", cpus=3, placement=(0, 1, 0), fix="233e7f267e58",
    title="a work queued between the stopper's last look and its park is completed, not run",
    expects="multi_cpu_stop waits", names={"migration/1": "S1", "migration/2": "S2"},
    labels={"start[downer]": "cpu_down(1)", "stopper:empty[migration/1]": "S1: no work left",
            "start[initiator]": "stop_two_cpus(2, 1)", "two:queued[initiator]": "  both accepted",
            "kemu_panic": "{who} waits for ever for one that will not come"},
    budget="jitter: a hit within 10 s; free: a hit within 30 s")


@race.before(cpu_stop.stop_machine_park)
def stop_machine_park(cpu: int) -> None:
    """Park; works are taken on."""
    kthread.kthread_park(cast(Task, cpu_stop.CpuStopper.on(cpu).thread.get()))


@race.before(cpu_stop.cpu_stop_park)
def cpu_stop_park(cpu: int) -> None:
    """Complete what is left, and take no more."""
    stopper = cpu_stop.CpuStopper.on(cpu)
    flags = stopper.lock.lock_irqsave()
    for node in stopper.works.nodes():
        system.memory.list_del(node)
        cpu_stop.cpu_stop_drop(cpu_stop.CpuStopWork(system.memory, node))
    stopper.enabled.store(0)
    stopper.lock.unlock_irqrestore(flags)


def own_cpu(arg: int) -> int:
    return smp_processor_id()


@race.actor(cpu=0)
def downer(t: Trial) -> None:
    with t.window():
        cpu.cpu_down(1)


@race.actor(cpu=2)
def initiator(t: Trial) -> None:
    """Again and again, until CPU1 is gone."""
    with t.window():
        while stop_machine.stop_two_cpus(2, 1, own_cpu) >= 0:
            pass


@race.conclude
def bring_up(t: Trial) -> None:
    cpu.cpu_up(1)
    assert cpu_online(1)


race.force(hold=initiator, at="start", until=("migration/1", "stopper:empty"),
           kind="preemptible")
race.force(hold="migration/1", at="stopper:empty", until=(initiator, "two:queued"))
