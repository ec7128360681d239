"""A memory: which descriptors it accepts, its slots, its names, its arena, its events."""

from __future__ import annotations

import os
import struct
import tempfile

import pytest

from kemu import native
from kemu.errors import MachineError, NoTask, OutOfMemory, UsageError
from kemu.native import Memory, Word
from tests.native.memories import (cpu_word, header, in_task, new_word, small, task_offset,
                                   task_word)


def attach_to(content: bytes) -> Memory:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return Memory(file.fileno())


def with_field(content: bytes, name: str, value: int) -> bytes:
    """The bytes of a memory, one word of its header changed."""
    changed = bytearray(content)
    struct.pack_into("<q", changed, native.HEADER[name], value)
    return bytes(changed)


def test_two_mappings_are_one_memory() -> None:
    """What is written through one is read through the other, which has its own descriptor."""
    memory = small()
    word = new_word(memory, 5)
    other = Memory(memory.fileno())
    assert other.fileno() != memory.fileno()
    assert other.size == memory.size
    assert Word(other, word.offset).xchg(6) == 5
    assert word.load() == 6


def test_the_first_may_go() -> None:
    """An attached memory does not need the one it was attached to."""
    memory = small()
    other = Memory(memory.fileno())
    del memory
    assert new_word(other, 1).load() == 1


@pytest.mark.parametrize("content", [b"x", b"\0" * 4096, b"kemu" * 100_000, os.urandom(1 << 18)],
                         ids=["a byte", "zeroes", "text", "noise"])
def test_garbage_is_no_memory(content: bytes) -> None:
    """A file without a machine in it is refused."""
    with pytest.raises(UsageError, match="not a machine's memory"):
        attach_to(content)


def test_an_empty_file_is_no_memory() -> None:
    """There is nothing to map."""
    with pytest.raises(OSError, match="Invalid argument"):
        attach_to(b"")


@pytest.mark.parametrize("fd", [-1, 9999, (1 << 31) - 1])
def test_a_descriptor_that_is_none(fd: int) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Memory(fd)


def test_a_pipe_is_no_memory() -> None:
    ends = os.pipe()
    with pytest.raises(OSError, match=r".+"):
        Memory(ends[0])
    for end in ends:
        os.close(end)


def test_a_truncated_memory() -> None:
    """What is shorter than its header says is refused."""
    memory = small()
    content = memory.read(0, memory.size)
    assert attach_to(content).size == memory.size
    with pytest.raises(UsageError):
        attach_to(content[:-4096])


@pytest.mark.parametrize("name", ["magic", "nr_cpus", "nr_tasks", "heap", "heap_end", "arena",
                                  "arena_end"])
@pytest.mark.parametrize("value", [-1, 0, 1 << 20, 1 << 40, -1 << 63, -64])
def test_a_header_that_lies(name: str, value: int) -> None:
    """A shape that does not fit is refused; no call goes by it."""
    memory = small()
    with pytest.raises(UsageError):
        attach_to(with_field(memory.read(0, memory.size), name, value))


@pytest.mark.parametrize("name", ["nr_cpus", "nr_tasks", "cpus", "tasks", "symbols", "rings",
                                  "heap", "heap_end", "arena", "arena_end"])
def test_a_header_scribbled_on_later(name: str) -> None:
    """A process keeps the shape that it saw when it attached: no look-up goes beyond it."""
    memory = small()
    header(memory, name).store(1 << 45)
    memory.notify_all()
    assert not memory.all_blocked()
    assert memory.events(0, 0) == (0, [])
    assert memory.symbol_name(memory.symbol("a name")) == "a name"
    assert memory.published(memory.publish(b"bytes")) == b"bytes"
    memory.heap_free(memory.heap_alloc(8))
    memory.task_free(memory.task_alloc())
    with pytest.raises(UsageError):
        memory.notify_task(1 << 30)


@pytest.mark.parametrize("sizes", [
    (0, 4, 0, 0), (-1, 4, 0, 0), (native.MAX_CPUS + 1, 100, 0, 0), (2, 1, 0, 0),
    (2, native.MAX_TASKS + 1, 0, 0), (2, 4, -1, 0), (2, 4, 0, 1 << 40)])
def test_sizes_that_no_machine_has(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError):
        Memory.create(*sizes)


def test_slots_run_out_and_come_back() -> None:
    """Each slot is used once; a freed one rests as long as it can."""
    memory = small(tasks=3)
    slots = [memory.task_alloc() for _ in range(3)]
    assert sorted(slots) == [0, 1, 2]
    with pytest.raises(OutOfMemory):
        memory.task_alloc()
    memory.task_free(slots[1])
    assert memory.task_alloc() == slots[1]


def test_each_life_of_a_slot_has_its_number() -> None:
    """All words of a new life are zero, but its generation, which counts."""
    memory = small(cpus=1, tasks=1)
    for life in range(1, 4):
        assert memory.task_alloc() == 0
        assert task_word(memory, 0, "generation").load() == life
        fields = [task_word(memory, 0, name) for name in ("pid", "bell", "state", "preempt_count")]
        assert [field.load() for field in fields] == [0, 0, 0, 0]
        for field in fields:
            field.store(9)
        memory.task_free(0)
        assert task_word(memory, 0, "state").load() == native.POISON


@pytest.mark.parametrize("slot", [0, 3, 4, -1, 1 << 40])
def test_a_slot_that_is_not_used_cannot_be_freed(slot: int) -> None:
    memory = small()
    with pytest.raises(UsageError):
        memory.task_free(slot)


def test_a_slot_cannot_be_freed_twice() -> None:
    memory = small()
    slot = memory.task_alloc()
    memory.task_free(slot)
    with pytest.raises(UsageError):
        memory.task_free(slot)


def test_a_name_is_one_word_everywhere() -> None:
    """The same name leads to the same word in every mapping, another to another."""
    memory = small()
    one, two = memory.symbol("kthread:parked"), memory.symbol("größe")
    other = Memory(memory.fileno())
    assert (other.symbol("kthread:parked"), other.symbol("größe")) == (one, two)
    assert one != two
    assert other.symbol_name(two) == "größe"
    Word(other, one).store(5)
    assert Word(memory, one).load() == 5


def test_a_name_does_not_end_where_another_does() -> None:
    """A prefix of a name is another name."""
    memory = small()
    assert len({memory.symbol(name) for name in ("park", "parked", "par")}) == 3


@pytest.mark.parametrize("name", ["", "a\0b", "x" * native.SYMBOL_NAME, "\ud800"],
                         ids=["empty", "with a zero", "too long", "no text"])
def test_what_is_no_name(name: str) -> None:
    memory = small()
    with pytest.raises(UsageError):
        memory.symbol(name)


def test_names_run_out() -> None:
    """After the last, old names are still found."""
    memory = small()
    offsets = [memory.symbol(f"name {number}") for number in range(native.NR_SYMBOLS)]
    with pytest.raises(OutOfMemory):
        memory.symbol("one more")
    assert [memory.symbol_name(offset) for offset in offsets[-2:]] == ["name 1022", "name 1023"]
    assert memory.symbol("name 0") == offsets[0]


@pytest.mark.parametrize("away", [-128, -8, 8, 64, 128])
def test_an_offset_without_a_name(away: int) -> None:
    """Only the words that symbol() returned have one."""
    memory = small()
    offset = memory.symbol("the only one")
    with pytest.raises(UsageError):
        memory.symbol_name(offset + away)


def test_what_is_published_stays() -> None:
    """Bytes of any length, each at its own offset, until the arena is full."""
    memory = small()
    published = {memory.publish(bytes([number]) * number): number for number in range(1, 20)}
    with pytest.raises(OutOfMemory):
        memory.publish(bytes(1 << 12))
    with pytest.raises(OutOfMemory):
        while True:
            memory.publish(b"filler")
    for offset, number in published.items():
        assert memory.published(offset) == bytes([number]) * number


@pytest.mark.parametrize("away", [-64, 1, 8, 1 << 12, -1 << 62])
def test_nothing_is_published_there(away: int) -> None:
    memory = small()
    offset = memory.publish(b"something")
    with pytest.raises(UsageError):
        memory.published(offset + away)


def test_an_arena_scribbled_on() -> None:
    """A length that leads out is not believed, nor an end that does."""
    memory = small()
    offset = memory.publish(b"something")
    Word(memory, offset).store(1 << 40)
    with pytest.raises(UsageError):
        memory.published(offset)
    header(memory, "arena_brk").store(-64)
    with pytest.raises(MachineError):
        memory.publish(b"more")


@pytest.mark.parametrize("span", [(-1, 1), (0, -1), (0, 1 << 40), (1 << 62, 1 << 62)])
def test_read_stays_inside(span: tuple[int, int]) -> None:
    memory = small()
    with pytest.raises(UsageError):
        memory.read(*span)
    assert memory.read(memory.size, 0) == b""


def test_write_goes_into_a_block_or_the_report() -> None:
    """The write goes nowhere else, and not beyond the room that there is."""
    memory = small()
    block, report = memory.heap_alloc(8), native.HEADER["report"]
    for offset, room in ((block, 56), (report, native.REPORT_SIZE)):
        memory.write(offset, b"x" * room)
        with pytest.raises(UsageError):
            memory.write(offset, b"x" * (room + 1))
    for offset in (0, report + 8, task_offset(memory, 0, "state"), -8):
        with pytest.raises(UsageError):
            memory.write(offset, b"x")


def test_a_ring_keeps_the_last_events() -> None:
    """Older ones are counted but gone; a reader goes on where it was."""
    memory = small()
    header(memory, "gate").store(native.GATE_TRACE)
    nr = native.NR_EVENTS + 10

    def write() -> None:
        for number in range(nr):
            native.trace(50, 1, number, -1, 2)

    in_task(memory, write)
    head, events = memory.events(0, 0)
    assert head == nr
    assert [event[7] for event in events] == list(range(nr - len(events), nr))
    assert native.NR_EVENTS - 1 <= len(events) <= native.NR_EVENTS
    assert [event[7:] for event in memory.events(0, nr - 1)[1]] == [(nr - 1, -1, 2)]
    assert memory.events(1, 0) == (0, [])


@pytest.mark.parametrize("cpu", [2, -1, 1 << 40])
def test_there_is_no_such_cpu(cpu: int) -> None:
    memory = small()
    for call in (memory.kick, memory.notify_monitor, lambda nr: memory.wait_monitor(nr, 0),
                 lambda nr: memory.events(nr, 0)):
        with pytest.raises(UsageError):
            call(cpu)


def test_a_rung_monitor_does_not_sleep() -> None:
    """A ring that comes before the sleep is not lost."""
    memory = small()
    memory.notify_monitor(1)
    memory.wait_monitor(1, native.NEVER)
    memory.wait_monitor(1, 0)       # quiet again: until the deadline


@pytest.mark.parametrize(("field", "value"), [
    ("idling", native.CPU_BUSY), ("idling", native.CPU_HELD), ("need_resched", 1),
    ("ipi", native.IPI_MAILBOX), ("next_event", 0)])
def test_all_is_blocked_when_every_cpu_idles(field: str, value: int) -> None:
    """With nothing due on any; one that is busy, or has something to do, is enough."""
    memory = small()
    for cpu in range(2):
        cpu_word(memory, cpu, "idling").store(native.CPU_IDLE)
    assert memory.all_blocked()
    cpu_word(memory, 1, field).store(value)
    assert not memory.all_blocked()


def test_a_thread_is_one_task_at_a_time() -> None:
    """A task that is taken, a slot that is none, and a thread that is a task are refused."""
    memory = small()

    def again() -> None:
        assert native.current() == "view of 0"
        for slot in (0, 1, 4, -1):
            with pytest.raises(UsageError):
                native.enter(memory, slot, None)

    in_task(memory, again)
    with pytest.raises(NoTask):
        native.current()
