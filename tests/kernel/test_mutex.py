"""Mutexes: one holder, which may sleep; the other tasks wait."""

from __future__ import annotations

import pytest

from kemu import native

from kemu.errors import KernelBug, UsageError
from kemu.kernel import sched
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.locking.mutex import (Mutex, mutex_is_locked, mutex_lock, mutex_owner, mutex_trylock,
                               mutex_unlock)
from kemu.memory.struct import Embedded, Struct, Word
from tests.kernel.threads import Shared


class Account(Struct):
    lock = Embedded(Mutex)
    balance = Word()


def deposit(account, times):
    """Not atomic on purpose: only the mutex keeps the sum right."""
    for n in range(times):
        with account.lock:
            balance = account.balance.load()
            if not n % 16:
                sched.yield_()
            account.balance.store(balance + 1)


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_excludes(machine, cpus):
    """No increment under the mutex is lost."""
    m = machine(cpus)
    account = m.run(Account.alloc)
    for handle in [m.start(deposit, account, 200, cpu=n % cpus) for n in range(4)]:
        handle.result()
    assert m.run(account.balance.load) == 800


def try_twice():
    lock = Mutex.alloc()
    return mutex_trylock(lock), mutex_trylock(lock), mutex_is_locked(lock)


def test_trylock(machine):
    """mutex_trylock() takes it once."""
    assert machine().run(try_twice) == (True, False, True)


def owners():
    lock = Mutex.alloc()
    before = mutex_owner(lock)
    with lock:
        held = mutex_owner(lock) == sched.current()
    return before, held, mutex_owner(lock)


def test_owner(machine):
    """The mutex knows the task that holds it."""
    assert machine().run(owners) == (None, True, None)


def fail_inside():
    lock = Mutex.alloc()
    try:
        with lock:
            raise LookupError
    except LookupError:
        return mutex_is_locked(lock)


def test_freed_by_exception(machine):
    """An exception that leaves the block frees it."""
    assert machine().run(fail_inside) is False


def unlock_free():
    mutex_unlock(Mutex.alloc())


def test_unlock_free(machine):
    """Freeing what one does not hold is the caller's error."""
    with pytest.raises(UsageError, match="does not hold it"):
        machine().run(unlock_free)


def test_unlock_of_another(machine):
    """So is freeing what another task holds."""
    m = machine()
    lock = m.run(Mutex.alloc)
    m.run(mutex_lock, lock)
    with pytest.raises(UsageError, match="does not hold it"):
        m.run(mutex_unlock, lock)


def lock_twice():
    lock = Mutex.alloc()
    mutex_lock(lock)
    mutex_lock(lock)


def test_lock_twice(machine):
    """A task that locks a mutex it holds would wait for itself: a BUG."""
    with pytest.raises(KernelBug, match="locks a mutex it holds"):
        machine().run(lock_twice)


def hold(shared, lock):
    with lock:
        complete(shared.ran)
        while not shared.gate.load():
            sched.cpu_relax()


def waits_for(shared, lock):
    """Look at a waiter from a third CPU, while the mutex is held."""
    wait_for_completion(shared.ran)
    while lock.queue.waiters.empty():
        sched.cpu_relax()
    waiter = next(t for t in sched.runqueue.system.tasks.used() if t.comm == "mutex_lock")
    sched.wait_task_inactive(waiter, 0)
    holder = sched.runqueue.system.tasks.at(
        native.Word(waiter.memory, waiter.waits_on.load()).load() - 1).comm
    shared.gate.store(1)
    return holder


def test_waits_for(machine):
    """A task that waits for a mutex names the holder, and gets the mutex when it is freed."""
    m = machine(3)
    shared, lock = m.run(Shared.alloc), m.run(Mutex.alloc)
    holds = m.start(hold, shared, lock, cpu=0)
    m.run(shared.ran.done.wait_while, 0, cpu=2)
    waits = m.start(mutex_lock, lock, cpu=1)
    holder = m.run(waits_for, shared, lock, cpu=2)
    assert (holder, holds.result(), waits.result()) == ("hold", None, None)
