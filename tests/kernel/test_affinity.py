"""Affinity: masks, and where a task runs then."""

from __future__ import annotations

from errno import EINTR, EINVAL

import pytest

from kemu import native
from kemu.kernel import sched
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.fork import get_task_struct
from kemu.kernel.hotplug.sched_cpu import migration_cpu_stop
from kemu.kernel.kthread import (kthread_create, kthread_create_on_cpu, kthread_stop, kthread_unpark)
from kemu.kernel.sched import (sched_setaffinity,
                               set_cpus_allowed_ptr, wake_up_process)
from kemu.kernel.sched.completion import complete, wait_for_completion
from tests.kernel.test_sched import stop
from tests.kernel.threads import Shared, hog, sleeper, until_asleep, until_queued


def report_cpu(shared):
    shared.seen.store(1 + sched.smp_processor_id())
    complete(shared.ran)


def move_one_that_sleeps():
    k = kthread_create(sleeper, None, "k")
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    where = k.cpu.load()
    found = [stop_one_cpu(where, migration_cpu_stop, (k, 1 - where)) for _ in range(2)]
    return [*found, k.cpu.load() - where, kthread_stop(k)]


def test_a_stopper_leaves_a_sleeper_where_it_is(machine):
    """And no lock held: it can look again."""
    assert machine(2).run(move_one_that_sleeps) == [0, 0, 0, -EINTR]


def move_sleeper(cpu):
    shared = Shared.alloc()
    k = kthread_create(report_cpu, shared, "k")
    get_task_struct(k)
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    ret = set_cpus_allowed_ptr(k, 1 << cpu)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    stop(k)
    return ret, shared.seen.load() - 1


@pytest.mark.parametrize("cpu", range(3))
def test_affinity_of_a_sleeper(machine, cpu):
    """A sleeper wakes up on a CPU of its new mask."""
    assert machine(3).run(move_sleeper, cpu) == (0, cpu)


def move_queued():
    shared = Shared.alloc()
    with hog(1):
        k = kthread_create(report_cpu, shared, "k")
        get_task_struct(k)
        until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
        set_cpus_allowed_ptr(k, 1 << 1)
        wake_up_process(k)
        until_queued(k)
        ret = set_cpus_allowed_ptr(k, 1 << 2)
        wait_for_completion(shared.ran)
    stop(k)
    return ret, shared.seen.load() - 1


def test_affinity_of_a_queued_task(machine):
    """A queued task moves at once, and runs where it may."""
    assert machine(3).run(move_queued) == (0, 2)


def set_mask(mask):
    k = kthread_create(sleeper, None, "k")
    before = k.cpus_allowed.load()
    ret = set_cpus_allowed_ptr(k, mask)
    same = before == k.cpus_allowed.load()
    kthread_stop(k)
    return ret, same


@pytest.mark.parametrize("mask", [0, 0b100])
def test_unusable_mask(machine, mask):
    """A mask without a usable CPU is -EINVAL, and changes nothing."""
    assert machine(2).run(set_mask, mask) == (-EINVAL, True)


def unbind(set_mask):
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    kthread_unpark(k)
    found = set_mask(k, 0b11), k.cpus_allowed.load()
    kthread_stop(k)
    return found


def test_bound_for_good(machine):
    """Users cannot change the mask of a per-CPU thread; the kernel can (v4.13)."""
    m = machine(2)
    assert m.run(unbind, sched_setaffinity) == (-EINVAL, 0b10)
    assert m.run(unbind, set_cpus_allowed_ptr) == (0, 0b11)


def wake_without_cpu():
    """A thread whose mask has no CPU that is there."""
    shared = Shared.alloc()
    k = kthread_create(report_cpu, shared, "k")
    get_task_struct(k)
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    sched.do_set_cpus_allowed(k, 0b100)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    found = shared.seen.load() - 1 in (0, 1), k.cpus_allowed.load()
    stop(k)
    return found


def test_select_fallback_rq(machine):
    """A thread that has no CPU left runs elsewhere, and its mask is widened."""
    assert machine(2).run(wake_without_cpu) == (True, 0b11)


def away_from_home():
    shared = Shared.alloc()
    k = kthread_create(host_core, shared, "k")      # born in this CPU's process
    get_task_struct(k)
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    set_cpus_allowed_ptr(k, 1 << 1)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    return stop(k)


def host_core(shared):
    complete(shared.ran)
    return native.getcpu()


def test_away_from_home(machine):
    """A task that holds a CPU it was not born on runs on that CPU's host core."""
    m = machine(2)
    assert m.run(away_from_home) == m.placement[1]


# -- the audit -------------------------------------------------------------------
