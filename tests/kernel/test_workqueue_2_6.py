"""Work queues of 2.6.6: order, flushing, and what keventd does for kthread_create."""

from __future__ import annotations

import pytest

import kemu
from kemu.kernel import sched
from kemu.kernel.kthread import kthread_stop
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.kthread import kthread_create
from kemu.kernel.v2_6.workqueue import (WorkStruct, flush_scheduled_work, init_work, keventd_up,
                                        schedule_work)
from kemu.memory.struct import PerCPU, Word


class Journal(PerCPU):
    """Of CPU 0: the data of the works that have run, as decimal digits."""

    digits = Word()
    go = Word()


def note(data: int) -> None:
    digits = Journal.on(0).digits
    digits.store(digits.load() * 10 + data)


def queue(func: object, *data: int) -> list[WorkStruct]:
    works = [WorkStruct.alloc() for _ in data]
    for work, number in zip(works, data, strict=True):
        init_work(work, func, number)
        assert schedule_work(work)
    return works


def queue_three_and_flush() -> int:
    for work in queue(note, 1, 2, 3):
        flush_scheduled_work()
        work.free()
    return Journal.on(0).digits.load()


@pytest.fixture
def old(machine):
    return lambda: machine(2, kernel="2.6.6")


def test_works_run_in_order(old):
    """The thread runs the oldest first, and a flush waits for all that were queued before it."""
    m = old()
    assert m.run(queue_three_and_flush) == 123


def wait_for_go(data: int) -> None:
    while not Journal.on(0).go.load():
        sched.schedule_timeout_uninterruptible(1)


def queue_one_twice() -> bool:
    queue(wait_for_go, 0)
    work, = queue(note, 7)
    again = schedule_work(work)
    Journal.on(0).go.store(1)
    flush_scheduled_work()
    return again


def ran() -> int:
    return Journal.on(0).digits.load()


def test_a_pending_work_is_queued_once(old):
    """The second caller is told that the work is pending, and the work runs once."""
    m = old()
    assert m.run(queue_one_twice) is False
    assert m.run(ran) == 7


def flush_oneself(data: int) -> None:
    queue(note, 5)
    flush_scheduled_work()
    note(6)


def flush_from_a_work() -> int:
    queue(flush_oneself, 0)
    while (digits := Journal.on(0).digits.load()) < 10:     # two works have run
        sched.schedule_timeout_uninterruptible(1)
    return digits


def test_keventd_flushes_its_own_queue(old):
    """A work that flushes its own queue runs the others itself, and does not wait for itself."""
    m = old()
    assert m.run(flush_from_a_work) == 56


def thread_of_its_own(data: int) -> int:
    return data


def create_one() -> tuple[bool, int]:
    k = kthread_create(thread_of_its_own, 4, 1, "mine/%u")
    return keventd_up(), kthread_stop(k)


def test_keventd_creates_kernel_threads(old):
    """A thread that keventd made, and that is stopped before it runs, gives -EINTR."""
    m = old()
    assert m.run(create_one) == (True, -4)


def create_from_keventd(data: int) -> None:
    kthread_create(thread_of_its_own, 0, 1, "mine/%u")


def test_keventd_that_creates_a_thread_waits_for_itself(old):
    """As in Linux of the time; the machine reports it when it happens."""
    m = old()
    with pytest.raises(kemu.KernelPanic, match="a cycle of waits, closed by keventd"):
        m.run(lambda: queue(create_from_keventd, 0) and flush_scheduled_work())


def lock_in_a_work(data: int) -> None:
    with cpu_hotplug_locked():
        note(data)


def test_a_work_that_takes_the_hotplug_lock_deadlocks_a_flush(old):
    """flush_workqueue() waits for the work with the lock held that the work wants."""
    m = old()
    with pytest.raises(kemu.KernelPanic, match="a cycle of waits"):
        m.run(lambda: queue(lock_in_a_work, 1) and flush_scheduled_work())


def cycle() -> list[int]:
    return [step(1) for _ in range(3) for step in (cpu_down, cpu_up)]


def test_hotplug_through_keventd(old):
    """Every thread of a CPU that comes up is created by keventd."""
    m = old()
    assert m.run(cycle) == [0] * 6
