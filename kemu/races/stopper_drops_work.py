"""stopper-drops-work: a stop work is accepted by a CPU that dies, and never runs.

Fix: 233e7f267e58 (Linux 4.4), "stop_machine: Ensure that a queued callback will be called
before cpu_stop_park()".  Linux: kernel/stop_machine.c, kernel/cpu.c.

Before: Linux 4.2 and 4.3, without the guard of stop_two_cpus(): the state that the fix's author
describes.  CPU1 goes down while CPU2 wants to stop itself and CPU1 together.

    CPU0              CPU1 (its stopper)                    CPU2
    cpu_down(1)       take_cpu_down(): park me
                      no work left
                                                            stop_two_cpus(2, 1)
                                                              queued on both: accepted
                      cpu_stop_park(): drain the list:
                        complete the work, not run
                                                            multi_cpu_stop: waits for
                                                            CPU1 for ever

The stopper refused works only after it had drained its list as it parked.  After, it refuses
them from take_cpu_down() on, and runs what it has accepted.

stop_two_cpus() had a guard against hotplug, a look at cpu_active(), which hides this race.  It
does not hide its twin on the way up: stopper-drops-work-up.
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
    origin="described: Linux 4.3, without the look at cpu_active() in stop_two_cpus()",
    title="a work queued between the stopper's last look and its park is completed, not run",
    expects="multi_cpu_stop waits", names={"migration/1": "S1", "migration/2": "S2"},
    labels={"start[downer]": "cpu_down(1)", "stopper:empty[migration/1]": "S1: no work left",
            "start[initiator]": "stop_two_cpus(2, 1)", "two:queued[initiator]": "  both accepted",
            "kemu_panic": "{who} waits for ever for one that will not come"},
    budget="jitter: a hit within 10 s; free: a hit within 30 s")
race.witness("asked-in-between", "stop_two_cpus() was called when CPU1's stopper was to park, and "
             "had not parked yet")


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


class Stops(kemu.PerCPU):
    """Of CPU 0: what stop_two_cpus() has promised, and what came of it."""

    accepted = kemu.Word()
    ran = kemu.Word()


def own_cpu(arg: int) -> int:
    Stops.on(0).ran.add(1)
    return smp_processor_id()


def is_about_to_park(thread: Task) -> bool:
    """Whether a stopper was asked to park, and has not said yet that it has."""
    flags = kthread.to_kthread(thread).flags
    return (flags.test_bit(kthread.KTHREAD_SHOULD_PARK)
            and not flags.test_bit(kthread.KTHREAD_IS_PARKED))


@race.actor(cpu=0)
def downer(t: Trial) -> None:
    with t.window():
        cpu.cpu_down(1)


@race.actor(cpu=2)
def initiator(t: Trial) -> None:
    """Stop the two again and again, until CPU1 is gone."""
    stopper = cast(Task, cpu_stop.CpuStopper.on(1).thread.get())
    with t.window():
        while True:
            if is_about_to_park(stopper):
                t.witness("asked-in-between")
            if stop_machine.stop_two_cpus(2, 1, own_cpu) < 0:
                break
            Stops.on(0).accepted.add(1)


@race.postcondition
def accepted_works_ran_once(t: Trial) -> None:
    """S50: a work runs exactly once if it was accepted, and not at all if it was refused."""
    stops = Stops.on(0)
    assert stops.ran.load() == stops.accepted.load(), (
        f"{stops.accepted.load()} works were accepted, and {stops.ran.load()} ran")
    assert not cpu_online(1), "CPU1 is online after cpu_down(1)"


@race.postcondition
def enabled_stoppers_accept(t: Trial) -> None:
    """Two CPUs that are online are stopped, and the function runs once."""
    Stops.on(0).ran.store(0)
    ret = stop_machine.stop_two_cpus(2, 0, own_cpu)
    assert ret == 2, f"stop_two_cpus(2, 0) returned {ret}"
    assert Stops.on(0).ran.load() == 1, f"the function ran {Stops.on(0).ran.load()} times"


@race.conclude
def bring_up(t: Trial) -> None:
    cpu.cpu_up(1)
    assert cpu_online(1)


race.force(hold=initiator, at="start", until=("migration/1", "stopper:empty"),
           kind="preemptible")
race.force(hold="migration/1", at="stopper:empty", until=(initiator, "two:queued"))
