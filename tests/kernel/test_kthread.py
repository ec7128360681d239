"""Seeds 004 and 000: create, bind, park, unpark and stop kernel threads."""

from __future__ import annotations

from errno import EINTR, ENOSYS


import pytest

from kemu.errors import OutOfMemory, UsageError
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import (kthread_create, kthread_create_on_cpu, kthread_data, kthread_is_parked,
                                 kthread_park, kthread_run, kthread_should_park, kthread_stop,
                                 kthread_unpark, to_kthread)
from kemu.kernel.sched import (TASK_PARKED, TASK_RUNNING, current, wait_task_inactive, wake_up_process,
                               wake_up_state)
from tests.kernel.threads import Shared, sleeper, until_asleep, where

def completers_of_a_new_thread():
    k = kthread_create(sleeper, None, "k")
    found = [getattr(to_kthread(k), event).completer.load() == k.ref for event in ("parked", "exited")]
    kthread_stop(k)
    return found


def test_a_hang_can_name_the_thread(machine):
    """A report says which task is to complete what kthread_park() and kthread_stop() wait for."""
    assert machine(1).run(completers_of_a_new_thread) == [True, True]


def data_before_and_after_the_end():
    k = kthread_create(sleeper, Shared.alloc(), "k")
    get_task_struct(k)
    found = [kthread_data(k) is not None]
    kthread_stop(k)
    found.append(kthread_data(k) is not None)
    put_task_struct(k)
    return found


def test_a_thread_that_has_ended_has_no_data(machine):
    """Its block is freed, so the thread does not name it any more."""
    assert machine(1).run(data_before_and_after_the_end) == [True, False]


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
