"""register-misses-cpu: a CPU comes up without a thread that was registered meanwhile.

Fix: 4bee96860a65 (2014), "smpboot: Add missing get_online_cpus() in
smpboot_register_percpu_thread()".  Linux: kernel/smpboot.c.

Before: Linux 3.7 until that fix.  CPU1 comes up while CPU2 registers a per-CPU thread, T.

    CPU0                                  CPU2
    cpu_up(1)
      create CPU1's threads: T is not known
                                          smpboot_register_percpu_thread(T)
                                            create T on each online CPU: CPU1 is not
      CPU1 is online
      unpark CPU1's threads: it has no T

After, the registration holds the hotplug lock, so it comes before the hotplug operation or after it.
"""

from __future__ import annotations

from typing import cast

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import kthread, smpboot
from kemu.kernel.cpumask import cpu_online, online_cpus
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.memory.views import Task
from kemu.races.idle_thread import idle_thread

race = kemu.Race(
    "register-misses-cpu", cpus=3, placement=(0, 1, 0), fix="4bee96860a65",
    origin="released: Linux 3.7 until the fix of 2014",
    title="smpboot_register_percpu_thread() without the hotplug lock misses a CPU that comes up",
    names={"late/1": "T"},
    labels={"start[upper]": "cpu_up(1)", "prepared[upper]": "  CPU1's threads are created",
            "start[registrar]": "register(T)", "smpboot:registered[registrar]":
            "  T is on each online CPU", "online-idle[swapper/1]": "online, idle",
            "done[upper]": "CPU1 is up, and has no T"},
    budget="jitter: a hit within 10 s")
race.witness("asked-in-between", "T was registered when CPU1's threads were created, and CPU1 was "
             "not online yet")


@race.before(smpboot.smpboot_register_percpu_thread)
def smpboot_register_percpu_thread(plug_thread: smpboot.SmpHotplugThread) -> int:
    """Without the hotplug lock."""
    ret: int = smpboot.smpboot_register_online(plug_thread)
    return ret


CPU = 1
LATE = idle_thread("late/%u")


def prepared(cpu: int) -> int:
    """A PREPARE callback, which comes after the one that creates the CPU's threads."""
    kemu.point("prepared")
    return 0


@race.setup
def add_callback(t: Trial) -> None:
    state = cpuhp_setup_state(CpuhpState.CPUHP_BP_PREPARE_DYN, "race:prepared", prepared, None,
                              invoke=False)
    assert state >= 0, state


@race.prepare
def take_down(t: Trial) -> None:
    cpu_down(CPU)


@race.actor(cpu=0)
def upper(t: Trial) -> None:
    with t.window():
        cpu_up(CPU)


@race.actor(cpu=2)
def registrar(t: Trial) -> None:
    with t.window():
        reached = CpuhpCpuState.on(CPU).state.load()
        if reached > CpuhpState.CPUHP_CREATE_THREADS and not cpu_online(CPU):
            t.witness("asked-in-between")
        smpboot.smpboot_register_percpu_thread(LATE)


@race.invariant(at="quiescence")
def each_online_cpu_has_a_thread(t: Trial) -> None:
    """S45: T is there on each online CPU."""
    without = [cpu for cpu in online_cpus() if smpboot.smpboot_thread(LATE, cpu) is None]
    assert not without, f"CPU{without[0]} is online without a thread of {LATE.thread_comm!r}"


@race.postcondition
def threads_run(t: Trial) -> None:
    """CPU1 is up, and no thread is asked to park."""
    assert cpu_online(CPU), "CPU1 is offline after cpu_up(1)"
    for cpu in online_cpus():
        flags = kthread.to_kthread(cast(Task, smpboot.smpboot_thread(LATE, cpu))).flags
        assert not flags.test_bit(kthread.KTHREAD_SHOULD_PARK), f"CPU{cpu}'s thread is parked"


@race.conclude
def unregister(t: Trial) -> None:
    smpboot.smpboot_unregister_percpu_thread(LATE)


race.force(hold=upper, at="prepared", until=(registrar, "done"), kind="preemptible")
