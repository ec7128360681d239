"""exec-deadlocks-cpu-up: with a reader/writer lock, cpu_up waits for a thread that keventd cannot make.

Fix: "sched-hotplug-cpu-sched_balance_exec-fix" (April 2004, against 2.6.6-rc2-mm1), which takes
the hotplug lock out of exec.  Linux: kernel/sched.c, kernel/cpu.c, kernel/kthread.c.

Before: what the fix's author tried against exec-deadlocks-flush.  The hotplug lock is a
reader/writer semaphore: cpu_up and cpu_down write, exec reads.  H is the helper that keventd
starts, and that execs (usermodehelper).

    CPU0                                    keventd                     H
                                            call_usermodehelper:
                                              start H, wait for it
    cpu_up(1): down_write()
      CPU_UP_PREPARE
        kthread_create(): wait for keventd
                                                                        exec
                                                                          down_read(): CPU0 writes

A kernel thread is created by keventd, which is still in the work before.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.locking.percpu_rwsem import (PercpuRwsem, percpu_down_read, percpu_down_write,
                                              percpu_up_read, percpu_up_write)
from kemu.kernel.own.system import system
from kemu.kernel.v2_6 import cpucontrol, migration
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up
from kemu.machine.override import original_of
from kemu.memory.views import Task
from kemu.races.usermodehelper import HELPER, exec_is_under_way, race_with_a_helper, wait_for_the_work

race = race_with_a_helper(
    "exec-deadlocks-cpu-up", caller_cpu=2, cpus=3, placement=(0, 1, 0),
    origin="described: what the fix's author tried first, a reader/writer hotplug lock",
    title="exec waits for cpu_up, which waits for a thread that is created after the exec",
    labels={"start[upper]": "cpu_up(1): down_write()",
            "kthread_create:queued[upper]": "  kthread_create(): wait for keventd"})
race.witness("up-during-exec", "cpu_up() was called when H had been started, and had not execed yet")


class CpuControlRwsem(kemu.PerCPU, keep=True):
    """Of CPU 0: cpucontrol, as a reader/writer semaphore."""

    sem = kemu.Embedded(PercpuRwsem)


@race.before(cpucontrol.lock_cpu_hotplug)
def lock_cpu_hotplug() -> None:
    """For writing."""
    percpu_down_write(CpuControlRwsem.on(0).sem)


@race.before(cpucontrol.unlock_cpu_hotplug)
def unlock_cpu_hotplug() -> None:
    percpu_up_write(CpuControlRwsem.on(0).sem)


@race.before(migration.sched_migrate_task)
def sched_migrate_task(p: Task, dest_cpu: int) -> None:
    """With the hotplug lock held for reading."""
    percpu_down_read(CpuControlRwsem.on(0).sem)
    original_of(migration.sched_migrate_task)(p, dest_cpu)
    percpu_up_read(CpuControlRwsem.on(0).sem)


class Count(kemu.PerCPU, keep=True):
    """Of CPU 0."""

    tasks = kemu.Word()


def tasks() -> int:
    return sum(1 for _ in system.tasks.used())


@race.setup
def count(t: Trial) -> None:
    """The tasks that there are while all CPUs are up."""
    Count.on(0).tasks.store(tasks())


@race.prepare
def take_down(t: Trial) -> None:
    cpu_down(1)


@race.actor(cpu=0)
def upper(t: Trial) -> None:
    with t.window():
        wait_for_the_work(t)
        if exec_is_under_way():
            t.witness("up-during-exec")
        cpu_up(1)


@race.postcondition
def cpu_is_up(t: Trial) -> None:
    """CPU1 is online, and has the threads of a CPU: keventd has made them."""
    assert cpu_online(1), "CPU1 is offline after cpu_up(1)"
    assert migration.Migration.on(1).thread.get() is not None, "CPU1 has no migration thread"
    there, then = tasks(), Count.on(0).tasks.load()
    assert there == then, f"there are {there} tasks; before cpu_down(1) and cpu_up(1) there were {then}"


race.force(hold=upper, at="start", until=(HELPER, "helper:execs"), kind="preemptible")
race.force(hold=HELPER, at="helper:execs", until=(upper, "kthread_create:queued"),
           kind="preemptible", early=True)
