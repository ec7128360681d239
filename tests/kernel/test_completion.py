"""Completions count events, and let one waiter through for each."""

from __future__ import annotations

import pytest

from kemu.errors import KernelBug, UsageError
from kemu.kernel import sched
from kemu.kernel.sched.completion import (Completion, complete, complete_all, completion_done,
                                    completion_on_stack, reinit_completion, try_wait_for_completion,
                                    wait_for_completion, wait_for_completion_timeout)
from tests.kernel.threads import Shared, note


def until_waiting(x, nr):
    """Until so many tasks wait; takes the lock, as the list wants."""
    while True:
        flags = x.lock.lock_irqsave()
        waiting = len(x.waiters.nodes())
        x.lock.unlock_irqrestore(flags)
        if waiting >= nr:
            return
        sched.cpu_relax()


def complete_then_wait():
    with completion_on_stack() as x:
        complete(x)
        wait_for_completion(x)
        return x.done.load()


def test_remembers(machine):
    """An event before the wait is remembered, and taken by it."""
    assert machine().run(complete_then_wait) == 0


def test_across_cpus(machine):
    """A task on one CPU waits for an event of another."""
    m = machine()
    x = m.run(Completion.alloc)
    waits = m.start(wait_for_completion, x, cpu=1)
    m.run(until_waiting, x, 1)
    m.run(complete, x)
    assert waits.result() is None


def count_events():
    x = Completion.alloc()
    for _ in range(3):
        complete(x)
    return [try_wait_for_completion(x) for _ in range(4)]


def test_counts(machine):
    """Three events let three through, and no fourth."""
    assert machine().run(count_events) == [True, True, True, False]


def wait_and_note(x, digits, digit):
    wait_for_completion(x)
    note(digits, digit)


def test_one_at_a_time(machine):
    """complete() lets one waiter through, the first to come."""
    m = machine(3)
    shared = m.run(Shared.alloc)
    handles = []
    for n in (1, 2, 3):
        handles.append(m.start(wait_and_note, shared.ran, shared.digits, n, cpu=n % 2))
        m.run(until_waiting, shared.ran, n, cpu=2)
    for handle in handles:
        m.run(complete, shared.ran, cpu=2)
        handle.result()
    assert m.run(shared.digits.load) == 123


def test_complete_all(machine):
    """complete_all() lets all through, now and later."""
    m = machine(3)
    x = m.run(Completion.alloc)
    handles = [m.start(wait_for_completion, x, cpu=n % 2) for n in range(4)]
    m.run(until_waiting, x, 4, cpu=2)
    m.run(complete_all, x, cpu=2)
    handles.append(m.start(wait_for_completion, x))
    assert [handle.result() for handle in handles] == [None] * 5


def reinitialise():
    x = Completion.alloc()
    complete_all(x)
    before = completion_done(x)
    reinit_completion(x)
    return before, completion_done(x), try_wait_for_completion(x)


def test_reinit(machine):
    """A completion can be used anew."""
    assert machine().run(reinitialise) == (True, False, False)


def time_out():
    with completion_on_stack() as x:
        return wait_for_completion_timeout(x, 2), len(x.waiters.nodes())


def test_timeout(machine):
    """A wait that is over returns 0, and leaves no waiter behind."""
    assert machine().run(time_out) == (0, 0)


def in_time():
    with completion_on_stack() as x:
        complete(x)
        return wait_for_completion_timeout(x, 1000), x.done.load()


def timers_after_a_wait_in_time():
    with completion_on_stack() as x:
        complete(x)
        wait_for_completion_timeout(x, 1000)
        return [rq.timers.nodes() for rq in sched.runqueue.runqueues]


def test_a_wait_that_ended_leaves_no_timer(machine):
    """Otherwise the timer would wake the task out of another sleep."""
    assert machine(2).run(timers_after_a_wait_in_time) == [[], []]


def test_timeout_in_time(machine):
    """An event in time is taken, and the ticks left are returned."""
    assert machine().run(in_time) == (1000, 0)


def test_timeout_woken(machine):
    """A waiter that is let through before its time is over has ticks left."""
    m = machine()
    x = m.run(Completion.alloc)
    waits = m.start(wait_for_completion_timeout, x, 1_000_000, cpu=1)
    m.run(until_waiting, x, 1)
    m.run(complete, x)
    assert 0 < waits.result() <= 1_000_000


def test_timeout_of_nothing(machine):
    """A wait of no ticks does not sleep."""
    m = machine()
    assert m.run(wait_for_completion_timeout, m.run(Completion.alloc), 0) == 0


def ping(mine, other, rounds):
    for _ in range(rounds):
        complete(other)
        wait_for_completion(mine)
    return rounds


@pytest.mark.parametrize("cpus", [(0, 1), (0, 0)], ids=["two CPUs", "one CPU"])
def test_ping_pong(machine, cpus):
    """Two tasks let each other through many times."""
    m = machine()
    x, y = m.run(Completion.alloc), m.run(Completion.alloc)
    handles = [m.start(ping, x, y, 500, cpu=cpus[0]), m.start(ping, y, x, 500, cpu=cpus[1])]
    assert [handle.result() for handle in handles] == [500, 500]


def wait_with_preemption_off():
    x = Completion.alloc()
    sched.preempt_disable()
    wait_for_completion(x)


def test_wait_while_atomic(machine):
    """Waiting in atomic context is a BUG."""
    with pytest.raises(KernelBug, match="scheduling while atomic"):
        machine().run(wait_with_preemption_off)


def free_twice():
    x = Completion.alloc()
    x.free()
    x.free()


def test_free_twice(machine):
    """A completion is freed once."""
    with pytest.raises(UsageError):
        machine().run(free_twice)
