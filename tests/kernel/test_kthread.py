"""Seeds 004 and 000: create, bind, park, unpark and stop kernel threads."""

from __future__ import annotations

import os

import pytest

from kemu.errors import KernelWarning, NoTask, OutOfMemory, UsageError
from kemu.kernel import sched
from kemu.kernel.completion import complete, wait_for_completion
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import (EINTR, ENOSYS, kthread_bind, kthread_create, kthread_create_on_cpu,
                                 kthread_data, kthread_is_parked, kthread_park, kthread_run,
                                 kthread_should_park, kthread_should_stop, kthread_stop,
                                 kthread_unpark)
from kemu.kernel.sched import (TASK_PARKED, TASK_RUNNING, current,
                               wait_task_inactive, wake_up_process, wake_up_state)
from tests.kernel.threads import Shared, hog, sleeper, until_asleep, where

# -- parking -------------------------------------------------------------------


def park_a_running_thread():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    found = kthread_park(k), kthread_is_parked(k)
    kthread_stop(k)
    return found


def test_park(machine):
    """kthread_park() returns 0, and the thread is parked."""
    assert machine().run(park_a_running_thread) == (0, True)


def park_twice():
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    found = kthread_park(k), kthread_park(k)
    kthread_stop(k)
    return found


def test_park_twice(machine):
    """Parking a parked thread returns 0 at once."""
    assert machine().run(park_twice) == (0, 0)


def park_instead_of_waking():
    shared = Shared.alloc()
    k = kthread_create(sleeper, shared, "k")
    found = kthread_park(k), shared.ran.done.load()
    kthread_unpark(k)
    wait_for_completion(shared.ran)
    return (*found, kthread_stop(k))


def test_park_instead_of_waking(machine):
    """A new thread may be parked instead of woken: it runs its function when it is unparked."""
    assert machine().run(park_instead_of_waking) == (0, 0, 7)


def state_of_a_parked_thread():
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    inactive = bool(wait_task_inactive(k, TASK_PARKED))
    found = inactive, k.state.load(), k.on_rq.load(), k.on_cpu.load()
    kthread_stop(k)
    return found


def test_state_of_a_parked_thread(machine):
    """A parked thread sits in TASK_PARKED, off its runqueue and its CPU."""
    assert machine().run(state_of_a_parked_thread) == (True, TASK_PARKED, 0, 0)


def wake_a_parked_thread():
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    wait_task_inactive(k, TASK_PARKED)
    found = wake_up_process(k), kthread_is_parked(k), k.state.load()
    kthread_stop(k)
    return found


def test_stray_wake_up(machine):
    """No ordinary wake-up reaches a parked thread (seed 000)."""
    assert machine().run(wake_a_parked_thread) == (False, True, TASK_PARKED)


def wake_a_parked_thread_by_its_state():
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    wait_task_inactive(k, TASK_PARKED)
    woken = wake_up_state(k, TASK_PARKED)
    until_asleep(k, TASK_PARKED)
    found = woken, kthread_is_parked(k)
    kthread_stop(k)
    return found


def test_parks_again(machine):
    """A thread woken while it should park goes back to sleep, still parked."""
    assert machine().run(wake_a_parked_thread_by_its_state) == (True, True)


def park_many_times(rounds):
    shared = Shared.alloc()
    k = kthread_create_on_cpu(sleeper, shared, 1, "k/%u")
    parked = 0
    for _ in range(rounds):
        kthread_unpark(k)
        wait_for_completion(shared.ran)
        parked += not kthread_park(k)
    return parked, kthread_stop(k)


def test_park_many_times(machine):
    """A thread can be parked and unparked again and again."""
    assert machine().run(park_many_times, 200) == (200, 7)


def unpark_a_running_thread():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    kthread_unpark(k)
    return kthread_park(k), kthread_stop(k)


def test_unpark_a_running_thread(machine):
    """Unparking a thread that is not parked does nothing."""
    assert machine().run(unpark_a_running_thread) == (0, 7)


def park_itself(shared):
    ret = kthread_park(current())
    shared.seen.store(int(ret == 0 and kthread_should_park() and not kthread_is_parked(current())
                          and current().state.load() == TASK_RUNNING))
    complete(shared.ran)
    return 5


def let_it_park_itself():
    shared = Shared.alloc()
    k = kthread_run(park_itself, shared, "k")
    get_task_struct(k)
    wait_for_completion(shared.ran)
    found = shared.seen.load(), kthread_stop(k)
    put_task_struct(k)
    return found


def test_self_park(machine):
    """A thread that parks itself only sets the bit, and goes on."""
    assert machine().run(let_it_park_itself) == (1, 5)


# -- threads that have exited ----------------------------------------------------


def on_an_exited_thread(function, keep):
    shared = Shared.alloc()
    k = kthread_run(where, shared, "k")
    if keep:
        get_task_struct(k)
    wait_for_completion(shared.ran)
    kthread_stop(k)
    ret = function(k)
    if keep:
        put_task_struct(k)
    return ret


@pytest.mark.parametrize("keep", [True, False], ids=["referenced", "freed"])
def test_park_exited(machine, keep):
    """kthread_park() of a thread that has exited is -ENOSYS."""
    assert machine().run(on_an_exited_thread, kthread_park, keep) == -ENOSYS == -38


@pytest.mark.parametrize("keep", [True, False], ids=["referenced", "freed"])
def test_unpark_exited(machine, keep):
    """kthread_unpark() of a thread that has exited does nothing."""
    assert machine().run(on_an_exited_thread, kthread_unpark, keep) is None


def stop_one_that_returned(value):
    k = kthread_run(give, value, "k")
    get_task_struct(k)
    k.ended.wait_while(0)
    ret = kthread_stop(k)
    put_task_struct(k)
    return ret


def give(value):
    return value


@pytest.mark.parametrize("value", [0, 1, -5, 1 << 40, None])
def test_stop_returned(machine, value):
    """kthread_stop() gives the value of a thread that has returned by itself; None is 0."""
    assert machine().run(stop_one_that_returned, value) == (value or 0)


def use_a_reused_slot():
    old = kthread_create(sleeper, None, "old")
    kthread_stop(old)
    old.usage.wait_while(1)
    others = []
    while not any(k.slot == old.slot for k in others):
        others.append(kthread_create(sleeper, None, "new"))
    try:
        return kthread_park(old)
    finally:
        for k in others:
            kthread_stop(k)


def test_reused_slot(machine):
    """A handle whose slot is another task's is refused: it does not park the other."""
    with pytest.raises(UsageError, match="gone"):
        machine(tasks=20).run(use_a_reused_slot)


# -- stopping --------------------------------------------------------------------


def stop_a_running_thread():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    return kthread_stop(k)


def test_stop(machine):
    """kthread_stop() returns what the function returned."""
    assert machine().run(stop_a_running_thread) == 7


def stop_a_new_thread():
    shared = Shared.alloc()
    ret = kthread_stop(kthread_create(sleeper, shared, "k"))
    return ret, shared.ran.done.load()


def test_stop_new(machine):
    """A thread that was never woken nor parked returns -EINTR, and never ran."""
    assert machine().run(stop_a_new_thread) == (-EINTR, 0)


def stop_a_thread_parked_at_creation():
    shared = Shared.alloc()
    ret = kthread_stop(kthread_create_on_cpu(sleeper, shared, 1, "k/%u"))
    return ret, shared.ran.done.load()


def test_stop_parked_at_creation(machine):
    """A thread that was parked when it was created runs its function when it is stopped."""
    assert machine().run(stop_a_thread_parked_at_creation) == (7, 1)


def stop_a_parked_thread():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    kthread_park(k)
    return kthread_stop(k)


def test_stop_parked(machine):
    """Stopping a parked thread does not hang, and returns its value."""
    assert machine().run(stop_a_parked_thread) == 7


def stop_many(cpus):
    threads = [kthread_create_on_cpu(sleeper, None, n % cpus, "k/%u") for n in range(60)]
    for k in threads[::2]:
        kthread_unpark(k)
    return [kthread_stop(k) for k in threads]


def test_stop_many(machine):
    """Threads just unparked, and threads still parked, are all stopped."""
    assert machine(3).run(stop_many, 3) == [7] * 60


def create_and_stop(rounds):
    for _ in range(rounds):
        kthread_stop(kthread_create_on_cpu(sleeper, Shared.alloc(), 1, "k/%u"))


def test_slots_are_given_back(machine):
    """Many more threads than slots can be created one after another."""
    m = machine(tasks=24)
    assert m.run(create_and_stop, 200) is None


def create_without_end():
    threads = []
    try:
        while True:
            threads.append(kthread_create(sleeper, None, "k"))
    finally:
        for k in threads:
            kthread_stop(k)


def test_no_slot_left(machine):
    """When no slot is left, the error says so, and the machine lives."""
    m = machine(tasks=24)
    with pytest.raises(OutOfMemory):
        m.run(create_without_end)


# -- CPUs ------------------------------------------------------------------------


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


# -- storms ----------------------------------------------------------------------


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


# -- wrong arguments -------------------------------------------------------------


@pytest.mark.parametrize("cpu", [-1, 2, "0", None])
def test_create_on_wrong_cpu(machine, cpu):
    """A thread for a CPU there is not is refused."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        machine().run(kthread_create_on_cpu, sleeper, None, cpu, "k/%u")


def bind_to(cpu):
    k = kthread_create(sleeper, None, "k")
    try:
        kthread_bind(k, cpu)
    finally:
        kthread_stop(k)


@pytest.mark.parametrize("cpu", [-1, 2, "0", None])
def test_bind_to_wrong_cpu(machine, cpu):
    """So is binding one to it."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        machine().run(bind_to, cpu)


def test_not_callable(machine):
    """A thread's function is callable."""
    with pytest.raises(UsageError, match="not callable"):
        machine().run(kthread_create, 42, None, "k")


@pytest.mark.parametrize("function", [kthread_should_stop, kthread_should_park])
def test_not_a_kthread(machine, function):
    """What is for kernel threads says so to other tasks."""
    with pytest.raises(NoTask, match="no kernel thread"):
        machine().run(function)


def on_current(function):
    return function(current())


@pytest.mark.parametrize("function", [kthread_park, kthread_unpark, kthread_stop, kthread_data,
                                      kthread_is_parked])
def test_task_that_is_no_kthread(machine, function):
    """A task that is no kernel thread cannot be parked, unparked or stopped."""
    with pytest.raises(NoTask, match="no kernel thread"):
        machine().run(on_current, function)


@pytest.mark.parametrize("function", [kthread_park, kthread_unpark, kthread_stop, kthread_is_parked])
def test_no_task_at_all(machine, function):
    """What is no task is a UsageError that says what is wanted."""
    with pytest.raises(UsageError, match="task"):
        machine().run(function, "storm/0")


@pytest.mark.parametrize("function", [kthread_should_stop, current])
def test_outside_a_task(function):
    """In the user's own process there is no current task."""
    with pytest.raises(NoTask):
        function()


def bad_format():
    return kthread_create_on_cpu(sleeper, None, 1, "k/%s/%s")


def test_bad_format(machine):
    """A name that cannot be made is an error of the caller."""
    with pytest.raises(UsageError):
        machine().run(bad_format)
