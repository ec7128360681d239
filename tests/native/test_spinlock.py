"""Spinlocks: one owner, which is a task; preemption is off while one is held."""

from __future__ import annotations

import pytest

from kemu import native
from kemu.errors import MachineError, MachineStopped, NoTask, UsageError
from kemu.native import Memory, SpinLock
from tests.native import child
from tests.native.memories import (as_task, cpu_word, in_task, new_lock, new_word, small, stop,
                                   task_word, together)


def test_lock_and_unlock() -> None:
    """The word names the owner; preemption is off in between."""
    memory = small()
    lock = new_lock(memory)

    def body() -> None:
        lock.lock()
        assert (lock.load(), lock.is_held(), native.preempt_count()) == (2 + 1, True, 1)
        lock.unlock()
        assert (lock.load(), lock.is_held(), native.preempt_count()) == (0, False, 0)

    in_task(memory, body, slot=2)


def test_interrupts_are_off_under_irqsave() -> None:
    """And come back as they were, not simply on."""
    memory = small()
    outer, inner = new_lock(memory), new_lock(memory)

    def body() -> None:
        flags = outer.lock_irqsave()
        nested = inner.lock_irqsave()
        assert (flags, nested, native.irqs_disabled()) == (0, 1, True)
        inner.unlock_irqrestore(nested)
        assert native.irqs_disabled()
        outer.unlock_irqrestore(flags)
        assert not native.irqs_disabled()
        outer.lock_irq()
        assert native.irqs_disabled()
        outer.unlock_irq()
        assert not native.irqs_disabled()

    in_task(memory, body)


@pytest.mark.parametrize("name", ["lock", "lock_irqsave", "lock_irq"])
def test_a_lock_of_nobody_is_refused(name: str) -> None:
    """A word that is not a lock, or was overwritten: a wait for its owner would never end."""
    memory = small()
    lock = new_lock(memory)
    lock.store(1 << 20)

    def body() -> None:
        with pytest.raises(MachineError, match="an owner that does not exist"):
            getattr(lock, name)()
        assert (native.preempt_count(), native.irqs_disabled()) == (0, False)

    in_task(memory, body)


@pytest.mark.parametrize("name", ["lock", "lock_irqsave", "lock_irq"])
def test_recursion_is_refused(name: str) -> None:
    """The owner would wait for itself; it keeps the lock, and preemption and interrupts stay."""
    memory = small()
    lock = new_lock(memory)

    def body() -> None:
        lock.lock()
        with pytest.raises(UsageError, match="recursion"):
            getattr(lock, name)()
        assert (lock.is_held(), native.preempt_count()) == (True, 1)
        assert not native.irqs_disabled()
        lock.unlock()

    in_task(memory, body)


def test_only_the_owner_unlocks() -> None:
    """Not a lock that is free, nor another's; nothing changes."""
    memory = small()
    lock = new_lock(memory)

    def body() -> None:
        for owner in (0, 1 + 1):
            lock.store(owner)
            for unlock in (lock.unlock, lock.unlock_irq, lambda: lock.unlock_irqrestore(0)):
                with pytest.raises(UsageError, match="does not hold"):
                    unlock()
            assert (lock.load(), native.preempt_count()) == (owner, 0)

    in_task(memory, body)


def test_a_lock_needs_a_task() -> None:
    """A thread that is none has no name to write into it."""
    lock = new_lock(small())
    for call in (lock.lock, lock.unlock, lock.lock_irqsave, lock.lock_irq, lock.unlock_irq,
                 lambda: lock.unlock_irqrestore(0)):
        with pytest.raises(NoTask):
            call()
    assert not lock.is_held()


def test_a_lock_of_another_machine() -> None:
    """A task's slot means nothing there: it can neither take it nor have it."""
    memory, other = small(), small()
    lock = new_lock(other)

    def body() -> None:
        with pytest.raises(UsageError):
            lock.lock()
        lock.store(1)       # the number this task would write at home
        assert not lock.is_held()
        with pytest.raises(UsageError):
            lock.unlock()
        assert native.preempt_count() == 0

    in_task(memory, body)


def test_a_lock_excludes() -> None:
    """Two tasks count in two steps each, and none is lost."""
    memory = small()
    lock, count = new_lock(memory), new_word(memory)

    def body() -> None:
        for _ in range(2000):
            lock.lock()
            count.store(count.load() + 1)
            lock.unlock()

    together(as_task(memory, body, 0), as_task(memory, body, 1))
    assert count.load() == 4000


def test_a_panic_ends_the_wait_for_a_lock() -> None:
    """The owner is gone; preemption is counted as before the wait."""
    memory = small()
    lock = new_lock(memory)
    lock.store(4)

    def wait() -> None:
        with pytest.raises(MachineStopped):
            lock.lock()
        with pytest.raises(MachineStopped):
            lock.lock_irqsave()

    together(as_task(memory, wait), lambda: stop(memory))
    assert task_word(memory, 0, "preempt_count").load() == 0
    assert cpu_word(memory, 0, "irqs_off").load() == 0


def test_a_lock_is_a_word() -> None:
    """A lock can be read as a word; a plain word is not a lock."""
    memory = small()
    lock = new_lock(memory)
    assert SpinLock(memory, lock.offset).offset == lock.offset
    with pytest.raises(TypeError):
        SpinLock.lock(new_word(memory))  # type: ignore[arg-type]


def what_is_due(memory: Memory) -> list[str]:
    """Child: a reschedule and an interrupt come while a lock is held."""
    taken: list[str] = []
    lock, resched, ipi = (new_lock(memory), cpu_word(memory, 0, "need_resched"),
                          cpu_word(memory, 0, "ipi"))

    def interrupt() -> None:
        assert native.irqs_disabled()
        assert native.preempt_count() == 1 << 16
        taken.append(f"interrupt {ipi.xchg(0)}")

    def reschedule() -> None:
        resched.store(0)
        taken.append("reschedule")

    native.set_vectors(interrupt, reschedule)
    flags = lock.lock_irqsave()
    resched.store(1)
    ipi.store(native.IPI_MAILBOX)
    native.cpu_relax()
    taken.append("still locked")
    lock.unlock_irqrestore(flags)
    return taken


def check_what_is_due() -> None:
    memory = small()
    taken = in_task(memory, lambda: what_is_due(memory))
    assert taken == ["still locked", f"interrupt {native.IPI_MAILBOX}", "reschedule"]


def test_what_is_due_is_taken_in_the_unlock() -> None:
    """Not under the lock; and interrupts before a reschedule."""
    child.run(check_what_is_due)
