"""Kernel threads and their CPUs: create, bind, names and data."""

from __future__ import annotations

import os
from errno import EINTR, EINVAL

import pytest

from kemu import native
from kemu.errors import KernelWarning
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import (kthread_bind, kthread_create, kthread_create_on_cpu,
                                 kthread_data, kthread_park, kthread_run, kthread_stop, kthread_unpark)
from kemu.kernel.sched import migration, sched_setaffinity, wake_up_process
from kemu.machine.override import make_override
from kemu.memory.views import tasks_of
from tests.kernel.threads import Board, Shared, hog, sleeper, where


def where_it_runs(cpu):
    shared = Shared.alloc()
    k = kthread_create_on_cpu(where, shared, cpu, "k/%u")
    get_task_struct(k)
    kthread_unpark(k)
    wait_for_completion(shared.ran)
    ret = kthread_stop(k)
    put_task_struct(k)
    return divmod(ret, 1000)


@pytest.mark.parametrize("cpu", range(3))
def test_unpark_binds(machine, cpu):
    """An unparked per-CPU thread runs on its CPU, and so says the host."""
    m = machine(3)
    assert m.run(where_it_runs, cpu) == (cpu, m.placement[cpu])


def mask_of(cpu):
    k = kthread_create_on_cpu(sleeper, None, cpu, "k/%u")
    before = k.cpus_allowed.load()
    kthread_unpark(k)
    found = before, k.cpus_allowed.load()
    kthread_stop(k)
    return found


def test_bound_by_unpark(machine):
    """A thread is bound by its first unpark, not by its creation."""
    assert machine(3).run(mask_of, 2) == (0b111, 0b100)


def name_of(namefmt):
    k = kthread_create_on_cpu(sleeper, None, 1, namefmt)
    comm = k.comm
    kthread_stop(k)
    return comm


@pytest.mark.parametrize(("namefmt", "comm"), [
    ("worker/%u", "worker/1"), ("worker", "worker"), ("a_very_long_name/%u", "a_very_long_nam")])
def test_name(machine, namefmt, comm):
    """The CPU is filled into the name, of which 15 bytes are kept."""
    assert machine().run(name_of, namefmt) == comm


def process_of_a_bound_thread(cpu):
    shared = Shared.alloc()
    k = kthread_create(tell_pid, shared, "k")
    kthread_bind(k, cpu)
    get_task_struct(k)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    ret = kthread_stop(k)
    put_task_struct(k)
    return ret


def tell_pid(shared):
    complete(shared.ran)
    return os.getpid()


@pytest.mark.parametrize("cpu", range(3))
def test_bind_rehomes(machine, cpu):
    """A thread bound before it runs is born anew in its CPU's process."""
    m = machine(3)
    assert m.run(process_of_a_bound_thread, cpu) == m.pids[cpu]


def process_of_a_percpu_thread(cpu):
    shared = Shared.alloc()
    k = kthread_create_on_cpu(tell_pid, shared, cpu, "k/%u")
    return kthread_stop(k)


def test_percpu_thread_at_home(machine):
    """A per-CPU thread is born in its CPU's process."""
    m = machine(3)
    assert m.run(process_of_a_percpu_thread, 2) == m.pids[2]


def homes_of_percpu_threads():
    threads = [kthread_create_on_cpu(sleeper, None, 2, "k/%u", *home) for home in ((), (1,))]
    found = [k.home.load() for k in threads]
    for k in threads:
        kthread_stop(k)
    return found


def test_a_percpu_thread_may_be_given_another_home(machine):
    """Otherwise its home is its CPU."""
    assert machine(3).run(homes_of_percpu_threads) == [2, 1]


def bind_and_stop():
    k = kthread_create(sleeper, None, "k")
    kthread_bind(k, 1)
    return kthread_stop(k)


def test_stop_a_bound_thread(machine):
    """A thread that was bound and never woken returns -EINTR like any other."""
    assert machine().run(bind_and_stop) == -EINTR


def bind_a_running_thread():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    kthread_bind(k, 1)


def test_bind_too_late(machine):
    """Binding a thread that was woken already is a WARN."""
    with pytest.raises(KernelWarning, match="not bound to cpu1"):
        machine().run(bind_a_running_thread)


def bind_twice():
    shared = Shared.alloc()
    k = kthread_create(sleeper, shared, "k")
    kthread_bind(k, 1)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    kthread_bind(k, 0)
    return k.home.load(), k.cpus_allowed.load(), kthread_stop(k)


@pytest.mark.timeout(60)
def test_refused_bind_moves_nothing(machine):
    """A bound thread that runs keeps its mask and its process when it is bound again."""
    assert machine(2, warn="print").run(bind_twice) == (1, 0b10, 7)


def bind_slowly(p, mask):
    """do_set_cpus_allowed() that lets another task set the mask meanwhile, if it can."""
    p.cpus_allowed.store(mask)
    setter = Board.on(0).where.load()
    if mask == 0b10 and setter:
        setter = tasks_of(p.memory).get(setter)
        wake_up_process(setter)
        while not (setter.ended.load() or setter.watching.load()):
            native.cpu_relax()


def set_mask(k):
    return sched_setaffinity(k, 0b01)


def bind_beside_set_cpus_allowed():
    k = kthread_create(sleeper, None, "k")
    setter = kthread_create(set_mask, k, "setter")
    kthread_bind(setter, 0)
    get_task_struct(setter)
    Board.on(0).where.store(setter.ref)
    kthread_bind(k, 1)
    found = kthread_stop(setter), k.cpus_allowed.load()
    put_task_struct(setter)
    kthread_stop(k)
    return found


@pytest.mark.timeout(60)
def test_mask_of_a_bound_thread(machine):
    """No task changes a thread's mask between its binding and the flag that forbids it (25834c73f93a)."""
    m = machine(2, overrides=[make_override(migration.do_set_cpus_allowed, bind_slowly)])
    assert m.run(bind_beside_set_cpus_allowed, cpu=1) == (-EINVAL, 0b10)


def park_behind_a_hog():
    with hog(1):
        k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
        kthread_unpark(k)       # it is queued, and cannot run
        queued = k.on_rq.load(), k.on_cpu.load()
    return queued, kthread_park(k), kthread_stop(k)


def test_unpark_does_not_wait(machine):
    """kthread_unpark() returns though the thread cannot run yet."""
    assert machine().run(park_behind_a_hog) == ((1, 0), 0, 7)


# -- data ------------------------------------------------------------------------


def data_of(data):
    k = kthread_create(sleeper, data, "k")
    found = kthread_data(k)
    kthread_stop(k)
    return found


@pytest.mark.parametrize("data", [None, 0, {"a": [1, 2]}], ids=str)
def test_data(machine, data):
    """kthread_data() gives what the thread was created with."""
    assert machine().run(data_of, data) == data
