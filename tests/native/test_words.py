"""Words: every operation, by its values.  What it orders cannot be seen from here."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemu import native
from kemu.errors import MachineStopped, UsageError
from kemu.native import Word
from tests.native import child
from tests.native.memories import (as_task, header, in_task, new_word, small, stop, task_word,
                                   together)

LOWEST, HIGHEST = -1 << 63, (1 << 63) - 1
values = st.integers(LOWEST, HIGHEST) | st.sampled_from([LOWEST, -1, 0, 1, HIGHEST])


def wrapped(value: int) -> int:
    """A sum as 64 bits hold it."""
    return (value - LOWEST) % (1 << 64) + LOWEST


@pytest.mark.parametrize("store", ["store", "store_release"])
@pytest.mark.parametrize("load", ["load", "load_acquire"])
def test_a_word_keeps_its_value(load: str, store: str) -> None:
    """Whatever is stored is loaded, at both ends of the range too."""
    word = new_word(small())
    for value in (LOWEST, -1, 0, 1, HIGHEST):
        getattr(word, store)(value)
        assert getattr(word, load)() == value


@given(old=values, new=values)
def test_exchanges(old: int, new: int) -> None:
    """xchg always stores; cmpxchg only over the value it expects; both return the old one."""
    word = new_word(small(), old)
    assert word.xchg(new) == old
    assert word.cmpxchg(new, old) == new
    assert word.load() == old
    assert word.cmpxchg(old ^ 1, new) == old
    assert word.load() == old


@given(value=values, operand=values)
def test_arithmetic(value: int, operand: int) -> None:
    """add returns the sum, which wraps; fetch_or and fetch_and return what was there."""
    word = new_word(small(), value)
    assert word.add(operand) == word.load() == wrapped(value + operand)
    word.store(value)
    assert word.fetch_or(operand) == value
    assert word.load() == value | operand
    word.store(value)
    assert word.fetch_and(operand) == value
    assert word.load() == value & operand


@given(value=values, nr=st.integers(0, 62))
def test_bits(value: int, nr: int) -> None:
    """Each bit operation touches its bit alone, and tells what it was."""
    word, was = new_word(small(), value), bool(value & 1 << nr)
    assert word.test_bit(nr) is was
    assert word.test_and_set_bit(nr) is was
    assert word.load() == value | 1 << nr
    assert word.test_and_clear_bit(nr) is True
    assert word.load() == value & ~(1 << nr)
    word.set_bit(nr)
    assert word.test_bit(nr) is True
    word.clear_bit(nr)
    assert word.load() == value & ~(1 << nr)


@pytest.mark.parametrize("nr", [-1, 63, 64, LOWEST, HIGHEST])
@pytest.mark.parametrize("name", ["test_bit", "set_bit", "clear_bit", "test_and_set_bit",
                                  "test_and_clear_bit"])
def test_there_is_no_such_bit(name: str, nr: int) -> None:
    """A word has bits 0 to 62: the sign is not one of them."""
    word = new_word(small(), 5)
    with pytest.raises(UsageError, match="bit"):
        getattr(word, name)(nr)
    assert word.load() == 5


@pytest.mark.parametrize("value", [LOWEST - 1, HIGHEST + 1, 1 << 64])
@pytest.mark.parametrize("name", ["store", "store_release", "xchg", "add", "fetch_or", "fetch_and",
                                  "test_bit", "wait_while"])
def test_too_big_for_a_word(name: str, value: int) -> None:
    """An integer of more than 64 bits is refused, and changes nothing."""
    word = new_word(small(), 5)
    with pytest.raises(OverflowError):
        getattr(word, name)(value)
    assert word.load() == 5


@pytest.mark.parametrize("offset", [-8, 1, 4, 1 << 40, LOWEST, HIGHEST])
def test_no_word_outside_the_memory(offset: int) -> None:
    """An offset that is beyond the memory, or within a word, has no word."""
    memory = small()
    with pytest.raises(UsageError):
        Word(memory, offset)


def test_the_last_word_is_a_word() -> None:
    """The memory ends with a word, and the next offset is refused."""
    memory = small()
    assert Word(memory, memory.size - 8).load() == 0
    with pytest.raises(UsageError):
        Word(memory, memory.size)


def test_a_word_knows_where_it_is() -> None:
    """Its offset and memory lead to the same word."""
    memory = small()
    word = new_word(memory, 7)
    twin = Word(word.memory, word.offset)
    twin.store(8)
    assert word.load() == 8
    assert word.memory is memory
    assert repr(word) == f"<Word at {word.offset}: 8>"


def test_a_word_keeps_its_memory() -> None:
    """Only the word is left, and it still is one."""
    word = new_word(small(), 7)
    assert word.add(1) == 8


def test_adding_from_two_threads_loses_nothing() -> None:
    """add is one step for everybody."""
    word = new_word(small())

    def count() -> None:
        for _ in range(2000):
            word.add(1)

    together(count, count)
    assert word.load() == 4000


def test_wait_while_returns_what_it_found() -> None:
    """The value differs at once, or becomes different by another thread."""
    memory = small()
    ping, pong = new_word(memory), new_word(memory)
    assert ping.wait_while(1) == 0

    def answer() -> None:
        for turn in range(100):
            assert ping.wait_while(turn) == turn + 1
            pong.add(1)

    def ask() -> None:
        for turn in range(100):
            ping.add(1)
            assert pong.wait_while(turn) == turn + 1

    together(answer, ask)


@pytest.mark.parametrize("slot", [4, -2, HIGHEST])
def test_wait_while_for_a_task_that_is_none(slot: int) -> None:
    """The slot names the task that will change the word; the slot must exist."""
    word = new_word(small())
    with pytest.raises(UsageError):
        word.wait_while(0, slot)


def test_a_panic_ends_wait_while() -> None:
    """In a task and in a thread that is none, before and during the panic."""
    memory = small()
    word = new_word(memory)

    def wait() -> None:
        with pytest.raises(MachineStopped):
            word.wait_while(0, 1)

    together(wait, as_task(memory, wait), lambda: stop(memory))
    wait()


class Rung(Exception):
    """Raised by a signal's handler."""


def wait_for_a_signal() -> None:
    """Child: nobody will change the word, but a signal comes."""
    def handler(*_: object) -> None:
        raise Rung

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with pytest.raises(Rung):
        new_word(small()).wait_while(0)


def test_a_signal_is_handled_during_wait_while() -> None:
    """The main thread, which is not a task, handles Ctrl-C while it waits."""
    child.run(wait_for_a_signal)


def test_after_a_panic_only_a_task_is_stopped() -> None:
    """The controller may still look at a stopped machine; no task does anything more."""
    memory = small()
    word = new_word(memory, 3)
    stop(memory)
    assert word.load() == 3
    with pytest.raises(MachineStopped):
        in_task(memory, word.load)


def test_traced_operations() -> None:
    """With GATE_OPS each operation of a task leaves an event: which, where, with what."""
    memory = small()
    word = new_word(memory)
    task_word(memory, 0, "pid").store(77)
    header(memory, "gate").store(native.GATE_OPS)

    def body() -> None:
        word.store(5)
        word.load()

    in_task(memory, body)
    head, events = memory.events(0, 0)
    assert head == len(events) == 2
    assert [event[3] for event in events] == [77, 77]
    assert [event[8:] for event in events] == [(word.offset, 5), (word.offset, 0)]
