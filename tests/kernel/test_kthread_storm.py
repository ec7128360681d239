"""Kernel threads parked and unparked by everybody at once."""

from __future__ import annotations


import pytest

from kemu.kernel import sched
from kemu.kernel.sched.completion import wait_for_completion
from kemu.kernel.kthread import kthread_create_on_cpu, kthread_park, kthread_stop, kthread_unpark
from kemu.kernel.sched import wake_up_process
from tests.kernel.threads import Shared, sleeper


def storm(k, rounds):
    """Park and unpark without waiting for the thread to run."""
    return sum(kthread_park(k) or kthread_unpark(k) or 0 for _ in range(rounds))


def wake_strays(threads, gate):
    woken = 0
    while not gate.load():
        for k in threads:
            woken += wake_up_process(k)
        sched.cpu_relax()
    return woken


def create(cpu):
    return kthread_create_on_cpu(sleeper, None, cpu, "storm/%u")


@pytest.mark.parametrize("cpus", [2, 3, 5])
def test_storm(machine, cpus):
    """Threads parked from other CPUs, under stray wake-ups, always park, and all is in order."""
    m = machine(cpus)
    threads = [m.run(create, cpu) for cpu in range(cpus)]
    gate = m.run(Shared.alloc).gate
    strays = [m.start(wake_strays, threads, gate, cpu=cpu) for cpu in range(2)]
    storms = [m.start(storm, k, 150, cpu=(cpu + 1) % cpus) for cpu, k in enumerate(threads)]
    failed = [handle.result() for handle in storms]
    m.run(gate.store, 1)
    for handle in strays:
        handle.result()
    m.audit()
    assert (failed, [m.run(kthread_stop, k) for k in threads]) == ([0] * cpus, [7] * cpus)


def storm_of_one_word(cpu, rounds):
    shared = Shared.alloc()
    k = kthread_create_on_cpu(sleeper, shared, cpu, "storm/%u")
    for _ in range(rounds):
        kthread_unpark(k)
        wait_for_completion(shared.ran)
        kthread_park(k)
    return kthread_stop(k)


def test_storm_of_all_on_all(machine):
    """Every CPU cycles a thread of every CPU."""
    m = machine(3)
    handles = [m.start(storm_of_one_word, cpu, 40, cpu=by) for cpu in range(3) for by in range(3)]
    assert [handle.result() for handle in handles] == [7] * 9
