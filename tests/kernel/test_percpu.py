"""Shared words, structures and per-CPU variables; handles that travel."""

from __future__ import annotations

import pickle

import pytest

from kemu.errors import NoTask, OutOfMemory, UsageError
from kemu.kernel import sched
from kemu.kernel.sched.completion import Completion
from kemu.kernel.kthread import kthread_create, kthread_stop
from kemu.memory.struct import Embedded, ListHead, Lock, PerCPU, Struct, Word
from kemu.kernel.sched.runqueue import runqueues
from tests.kernel.threads import sleeper


class Inner(Struct):
    value = Word()


class Counters(PerCPU):
    first = Word()
    inner = Embedded(Inner)
    lock = Lock()
    queue = ListHead()


class Derived(Counters):
    last = Word()


class Guarded(Struct):
    lock = Lock()
    value = Word()


class Empty(PerCPU):
    pass


def add(cpu, times):
    for _ in range(times):
        Counters.on(cpu).first.add(1)


def test_shared(machine):
    """All CPUs count in one word, and no count is lost."""
    m = machine(3)
    for handle in [m.start(add, 1, 1000, cpu=cpu) for cpu in range(3)]:
        handle.result()
    with m.looking():
        assert Counters.on(1).first.load() == 3000


def add_locked(guarded, times):
    for _ in range(times):
        flags = guarded.lock.lock_irqsave()
        guarded.value.store(guarded.value.load() + 1)
        guarded.lock.unlock_irqrestore(flags)


def test_spinlock(machine):
    """What a spinlock guards is not lost either."""
    m = machine(3)
    guarded = m.run(Guarded.alloc)
    for handle in [m.start(add_locked, guarded, 500, cpu=cpu) for cpu in range(3)]:
        handle.result()
    assert m.run(guarded.value.load) == 1500


def store_own():
    Counters.this_cpu().first.store(10 + sched.smp_processor_id())


def test_this_cpu(machine):
    """Each CPU has its own."""
    m = machine(3)
    for cpu in range(3):
        m.run(store_own, cpu=cpu)
    with m.looking():
        assert [Counters.on(cpu).first.load() for cpu in range(3)] == [10, 11, 12]


def fields_of(cls):
    view = cls.on(0)
    view.first.store(1)
    view.inner.value.store(2)
    with_lock = view.lock.load()
    return view.first.load(), view.inner.value.load(), with_lock, view.queue.empty()


@pytest.mark.parametrize("cls", [Counters, Derived])
def test_fields(machine, cls):
    """Words, structures, locks and lists have a place each, also in a subclass."""
    assert machine().run(fields_of, cls) == (1, 2, 0, True)


def derived_apart():
    Counters.on(0).first.store(1)
    Derived.on(0).last.store(9)
    return Derived.on(0).first.load(), Derived.on(0).last.load()


def test_subclass_is_apart(machine):
    """A subclass is a variable of its own."""
    assert machine().run(derived_apart) == (0, 9)


def test_zero_at_boot(machine):
    """A new machine's variables are zero, whatever the last machine's were."""
    one = machine()
    one.run(store_own)
    other = machine()
    with other.looking():
        assert Counters.on(0).first.load() == 0


def test_two_machines(machine):
    """Machines side by side share nothing."""
    one, other = machine(), machine()
    one.run(add, 0, 3)
    other.run(add, 0, 5)
    found = []
    for m in (one, other):
        with m.looking():
            found.append(Counters.on(0).first.load())
    assert found == [3, 5]


@pytest.mark.parametrize("cpu", [-1, 2])
def test_wrong_cpu(machine, cpu):
    """A CPU the machine has not has no variables."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        machine(2).run(Counters.on, cpu)


def test_no_machine():
    """Without a machine in view there is nothing to look at."""
    with pytest.raises(NoTask, match="calling thread looks at none"):
        Counters.on(0)


def test_empty(machine):
    """A structure without fields is harmless."""
    assert machine().run(lambda: Empty.on(1).size) == 0


def same(handle, address):
    return handle.base == address if isinstance(handle, Struct) else handle.offset == address


@pytest.mark.parametrize("pick", [lambda g: g, lambda g: g.value, lambda g: g.lock],
                         ids=["struct", "word", "lock"])
def test_handles_travel(machine, pick):
    """Structures, words and locks mean the same wherever they arrive."""
    m = machine()
    handle = pick(m.run(Guarded.alloc, cpu=0))
    address = handle.base if isinstance(handle, Struct) else handle.offset
    assert m.run(same, handle, address, cpu=1)


def test_percpu_handle_travels(machine):
    """So does a view of a CPU's variable."""
    m = machine()
    view = m.run(Counters.on, 1, cpu=0)
    m.run(view.first.store, 5, cpu=1)
    assert view.first.load() == 5


def test_task_handle_travels(machine):
    """A task's handle names the same task on every CPU, and in the controller."""
    m = machine()
    k = m.run(kthread_create, sleeper, None, "traveller", cpu=0)
    assert (k.comm, m.run(comm_of, k, cpu=1), m.run(kthread_stop, k, cpu=1)) == (
        "traveller", "traveller", -4)


def comm_of(task):
    return task.comm


def test_handle_of_a_dead_task(machine):
    """A handle outlives its task, and says so."""
    m = machine()
    k = m.run(kthread_create, sleeper, None, "short", cpu=0)
    m.run(kthread_stop, k)
    m.run(k.usage.wait_while, 1)
    assert repr(k) == "<task, gone>"


def test_equal_handles(machine):
    """Handles of one thing are equal, wherever they come from."""
    m = machine()
    x = m.run(Completion.alloc)
    assert m.run(echo, x, cpu=1) == x


def echo(thing):
    return thing


def test_handle_without_machine(machine):
    """Outside a machine a handle cannot be unpickled."""
    data = pickle.dumps(machine().run(Completion.alloc))
    with pytest.raises(NoTask):
        pickle.loads(data)


def alloc_and_free(times):
    found = set()
    for _ in range(times):
        guarded = Guarded.alloc()
        guarded.value.store(7)
        found.add(guarded.base)
        guarded.free()
    return len(found), Guarded.alloc().value.load()


def test_alloc(machine):
    """Freed memory is used again, and is zero then."""
    assert machine().run(alloc_and_free, 100) == (1, 0)


def free_twice():
    guarded = Guarded.alloc()
    guarded.free()
    guarded.free()


def test_free_twice(machine):
    """Freeing twice is an error."""
    with pytest.raises(UsageError):
        machine().run(free_twice)


class Large(Struct):
    pass


def alloc_without_end():
    Large.size = 1 << 20
    while True:
        Large.alloc()


def test_out_of_memory(machine):
    """When the shared memory is used up, the error says so, and the machine lives."""
    m = machine()
    with pytest.raises(OutOfMemory):
        m.run(alloc_without_end)
    assert m.run(echo, 1) == 1


def word_operations():
    word = Guarded.alloc().value
    return (word.add(5), word.xchg(7), word.cmpxchg(7, 8), word.cmpxchg(7, 9), word.fetch_or(1),
            word.test_and_set_bit(4), word.test_and_clear_bit(4), word.test_bit(4), word.load())


def test_word(machine):
    """The operations on words return what the hardware's do."""
    assert machine().run(word_operations) == (5, 5, 7, 8, 8, False, True, False, 9)


def is_mine(rqs):
    return rqs is runqueues


def test_the_runqueues_travel_by_name(machine):
    """In another process they are that process's own."""
    assert machine(2).run(is_mine, runqueues, cpu=1)
