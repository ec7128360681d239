"""Jitter at the grain of an operation: what is due is taken before any of them, unless it is masked."""

from __future__ import annotations

import pytest

from kemu import native
from kemu.native import Memory, SpinLock, Word
from tests.native import child
from tests.native.memories import cpu_word, header, in_task, new_lock, new_word, small, task_word

OPERATIONS = {
    "load": Word.load, "store": lambda word: word.store(1), "add": lambda word: word.add(1),
    "cmpxchg": lambda word: word.cmpxchg(0, 1), "set_bit": lambda word: word.set_bit(0),
    "test_bit": lambda word: word.test_bit(0)}


class Taken:
    """The vectors: what they took, and with which of the CPU's words."""

    def __init__(self, memory: Memory) -> None:
        self.ipi, self.resched = cpu_word(memory, 0, "ipi"), cpu_word(memory, 0, "need_resched")
        self.gate, self.log = header(memory, "gate"), list[str]()
        native.set_vectors(self.interrupt, self.reschedule)

    def interrupt(self) -> None:
        self.ipi.store(0)
        self.log.append("interrupt")

    def reschedule(self) -> None:
        self.resched.store(0)
        self.log.append("reschedule")

    def make_due(self, *, grain: int = native.GATE_JITTER_OPS) -> None:
        """Both are due, while no gate is armed; then jitter is armed, with no delays."""
        self.gate.store(0)
        self.ipi.store(1)
        self.resched.store(1)
        self.gate.store(grain)


def run_under_a_lock(take: str, grain: int) -> list[str]:
    """Take a lock in that way; what was taken by an operation that follows, under it."""
    memory = small()
    lock, word = new_lock(memory), new_word(memory)

    def body() -> list[str]:
        taken = Taken(memory)
        getattr(SpinLock, take)(lock)
        taken.make_due(grain=grain)
        word.load()
        taken.gate.store(0)
        log = list(taken.log)
        taken.ipi.store(0)
        taken.resched.store(0)
        lock.unlock_irq()
        return log

    return in_task(memory, body)


def locks_and_interrupts() -> None:
    assert run_under_a_lock("lock", native.GATE_JITTER_OPS) == ["interrupt"]
    assert run_under_a_lock("lock_irq", native.GATE_JITTER_OPS) == []
    assert run_under_a_lock("lock", native.GATE_JITTER) == []
    assert run_under_a_lock("lock", native.GATE_OPS) == []


def test_an_interrupt_comes_under_a_lock_taken_with_interrupts_on() -> None:
    """And no reschedule does; nor does anything where interrupts are off, or at another grain."""
    child.run(locks_and_interrupts)


def each_operation() -> None:
    for name, operation in OPERATIONS.items():
        memory = small()
        word = new_word(memory)

        def body(word: Word = word, operation=operation, memory: Memory = memory) -> list[str]:
            taken = Taken(memory)
            taken.make_due()
            operation(word)
            return taken.log

        assert in_task(memory, body) == ["interrupt", "reschedule"], name


def test_each_operation_takes_what_is_due() -> None:
    """With preemption and interrupts on: the interrupt first, then the reschedule."""
    child.run(each_operation)


def preemption_off() -> None:
    memory = small()
    word = new_word(memory)

    def body() -> list[str]:
        taken = Taken(memory)
        native.preempt_disable()
        taken.make_due()
        word.load()
        return taken.log

    assert in_task(memory, body) == ["interrupt"]


def test_preemption_off_keeps_the_reschedule() -> None:
    """Not the interrupt."""
    child.run(preemption_off)


def before_a_mechanism() -> None:
    memory = small()
    task_word(memory, 1, "state").store(native.TASK_DEAD)       # no waker's mask has it

    def body() -> list[str]:
        taken = Taken(memory)
        taken.make_due()
        native.try_to_wake_up(1, native.TASK_NORMAL)
        return taken.log

    assert in_task(memory, body)[:2] == ["interrupt", "reschedule"]


def test_a_mechanism_in_c_can_be_interrupted_before_it_begins() -> None:
    """Then it turns interrupts off."""
    child.run(before_a_mechanism)


@pytest.mark.parametrize(("no_points", "ended"), [
    (native.GATE_NO_POINTS, native.HOLD_ARMED), (0, native.HOLD_ALL_BLOCKED)])
def test_points_can_be_switched_off(no_points: int, ended: int) -> None:
    """Then a task that a script would hold there passes, and the hold stays armed."""
    memory = small(cpus=1)
    hold = native.HEADER["holds"]
    words = {name: Word(memory, hold + offset) for name, offset in native.HOLD.items()
             if name != "sizeof"}
    name = int.from_bytes(b"held", "little")
    task_word(memory, 0, "comm0").store(name)
    header(memory, "online_mask").store(1)
    words["kind"].store(native.HOLD_STALL)
    words["at_comm0"].store(name)
    words["at_op"].store(native.OP_POINT)
    words["at_word"].store(memory.symbol("here"))
    words["state"].store(native.HOLD_ARMED)
    header(memory, "gate").store(native.GATE_HOLD | no_points)
    in_task(memory, lambda: native.point(memory.symbol("here")))
    assert words["state"].load() == ended
