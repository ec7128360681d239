"""The report that all CPUs idle: which CPU gets it, and what counts as idle."""

from __future__ import annotations

import time

from kemu import native
from kemu.native import Memory, SpinLock, Word
from tests.native import child
from tests.native.memories import (as_task, cpu_word, header, in_task, small, task_word,
                                   together)

NAME = int.from_bytes(b"held", "little")
POINT = 100
AFTER_POLLING_NS = 10_000_000


def play_dead(memory: Memory, cpu: int) -> None:
    """A CPU that is offline, and has interrupts off; the caller is its idle task."""
    cpu_word(memory, cpu, "idle").store(cpu)
    task_word(memory, cpu, "cpu").store(cpu)
    cpu_word(memory, cpu, "irqs_off").store(1)


def power_on(memory: Memory, cpu: int) -> None:
    cpu_word(memory, cpu, "ipi").fetch_or(native.IPI_INIT)
    memory.kick(cpu)


def test_an_online_cpu_is_told_when_a_dead_one_idles_last() -> None:
    """A dead CPU takes no interrupts, so a report that went there would be lost."""
    memory = small(cpus=3)
    cpu_word(memory, 0, "idling").store(native.CPU_IDLE)
    cpu_word(memory, 2, "idling").store(native.CPU_IDLE)
    play_dead(memory, 1)
    header(memory, "online_mask").store(0b101)
    header(memory, "gate").store(native.GATE_QUIESCE)

    def told() -> list[int]:
        header(memory, "gate").wait_while(native.GATE_QUIESCE)
        seen = [cpu_word(memory, cpu, "ipi").load() for cpu in range(3)]
        power_on(memory, 1)
        return seen

    assert together(as_task(memory, native.idle, 1), told)[1] == [native.IPI_QUIESCENT, 0, 0]


def test_a_dead_cpu_idles_with_an_interrupt_pending() -> None:
    """Only the one that powers it on ends that; and it counts as idle meanwhile."""
    memory = small(cpus=2)
    gate, ipi = header(memory, "gate"), cpu_word(memory, 1, "ipi")
    cpu_word(memory, 0, "idling").store(native.CPU_IDLE)
    header(memory, "online_mask").store(0b01)
    play_dead(memory, 1)
    ipi.store(native.IPI_MAILBOX)
    gate.store(native.GATE_QUIESCE)

    def dead() -> int:
        native.idle()
        pending = ipi.load()
        gate.store(0)           # so that the other one ends, also if this came too early
        return pending

    def alive() -> int:
        gate.wait_while(native.GATE_QUIESCE)
        power_on(memory, 1)
        return 0

    assert together(as_task(memory, dead, 1), alive)[0] == native.IPI_MAILBOX | native.IPI_INIT


def hold(memory: Memory, kind: int) -> Word:
    """Hold the task of that name at the point, without an awaited point.  Returns the hold's state."""
    base = native.HEADER["holds"]
    for field, value in {"kind": kind, "at_comm0": NAME, "at_op": native.OP_POINT, "at_word": POINT,
                         "until_op": native.OP_POINT, "until_word": 1}.items():
        Word(memory, base + native.HOLD[field]).store(value)
    state = Word(memory, base + native.HOLD["state"])
    state.store(native.HOLD_ARMED)
    task_word(memory, 0, "comm0").store(NAME)
    header(memory, "gate").store(native.GATE_HOLD)
    return state


def held_where_nothing_preempts(irqs_off: int, preempt_count: int) -> None:
    memory = small(cpus=1)
    state = hold(memory, native.HOLD_PREEMPTIBLE)
    task_word(memory, 0, "preempt_count").store(preempt_count)
    cpu_word(memory, 0, "irqs_off").store(irqs_off)
    cpu_word(memory, 0, "need_resched").store(1)
    in_task(memory, lambda: native.point(POINT))
    assert state.load() == native.HOLD_ALL_BLOCKED


def test_a_hold_ends_where_nothing_can_preempt_it() -> None:
    """A reschedule is due that this CPU will not take, and no other task can run."""
    child.run(held_where_nothing_preempts, 0, 1)
    child.run(held_where_nothing_preempts, 1, 0)


def held_until_a_timer() -> None:
    memory = small(cpus=2)      # the other runs, and so the hold does not end by itself
    state, event = hold(memory, native.HOLD_PREEMPTIBLE), cpu_word(memory, 0, "next_event")

    def interrupt() -> None:
        event.store(native.NEVER)
        state.store(native.HOLD_PASSED)

    native.set_vectors(interrupt, lambda: None)
    event.store(native.now_ns() + AFTER_POLLING_NS)
    in_task(memory, lambda: native.point(POINT))
    assert event.load() == native.NEVER


def test_a_timer_interrupts_a_hold_that_can_be_preempted() -> None:
    """Nobody rings for it: the CPU must look at its clock."""
    child.run(held_until_a_timer)


def polled_for(standing: bool) -> None:
    """Another CPU waits for a spinlock of the held task, which stands there, or is being preempted."""
    memory = small(cpus=2)
    state, lock = hold(memory, native.HOLD_STALL), SpinLock(memory, memory.heap_alloc(8))
    state.store(native.HOLD_HELD)
    cpu_word(memory, 0, "idling").store(native.CPU_HELD if standing else native.CPU_BUSY)
    cpu_word(memory, 0, "idler").store(1 if standing else 0)
    Word(memory, lock.offset).store(1)      # task 0 has it
    task_word(memory, 1, "cpu").store(1)

    def waits() -> int:
        lock.lock()
        seen = state.load()
        lock.unlock()
        return seen

    def frees() -> int:
        if standing:
            state.wait_while(native.HOLD_HELD)
        else:
            time.sleep(0.05)        # the wrong answer takes microseconds
        Word(memory, lock.offset).store(0)
        return 0

    wanted = native.HOLD_WAITED_FOR if standing else native.HOLD_HELD
    assert together(as_task(memory, waits, 1), frees)[0] == wanted


def test_a_held_task_is_let_go_by_who_polls_for_it() -> None:
    """It stands at its hold with a lock that another CPU wants."""
    child.run(polled_for, True)


def test_a_held_task_that_is_preempted_stays_held() -> None:
    """The lock that another CPU wants is its runqueue's, for the time of the switch."""
    child.run(polled_for, False)
