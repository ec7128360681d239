"""Function calls to other CPUs, in their interrupt context."""

from __future__ import annotations

import pytest

from kemu import native
from kemu.errors import UsageError
from kemu.kernel import irq, sched
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.hotplug.cpu import cpu_down
from kemu.kernel.irq import smp_call_function_single
from kemu.machine.override import make_override
from tests.kernel.threads import Board


def tell_where(argument):
    """In the interrupt: what there is to see."""
    board = Board.on(argument)
    board.where.store(1000 + sched.smp_processor_id() + 100 * sched.irqs_disabled())
    complete(board.ran)


def count(cpu):
    Board.on(cpu).work.add(1)


def call_and_wait(cpu):
    smp_call_function_single(cpu, tell_where, cpu, True)
    return Board.on(cpu).where.load()


@pytest.mark.parametrize("cpu", range(3))
def test_wait(machine, cpu):
    """With wait, the function has run on that CPU, interrupts off, when the call returns."""
    assert machine(3).run(call_and_wait, cpu) == 1100 + cpu


def call_and_go_on(cpu):
    smp_call_function_single(cpu, tell_where, cpu, False)
    wait_for_completion(Board.on(cpu).ran)
    return Board.on(cpu).where.load()


@pytest.mark.parametrize("cpu", range(2))
def test_no_wait(machine, cpu):
    """Without wait it runs by itself."""
    assert machine(2).run(call_and_go_on, cpu) == 1100 + cpu


def call_many(cpu, times):
    for n in range(times):
        smp_call_function_single(cpu, count, cpu, n % 2)
    smp_call_function_single(cpu, count, cpu, True)


def test_each_other(machine):
    """CPUs that call each other at the same time all get through."""
    m = machine(3)
    for handle in [m.start(call_many, (cpu + 1) % 3, 200, cpu=cpu) for cpu in range(3)]:
        handle.result()
    with m.looking():
        assert [Board.on(cpu).work.load() for cpu in range(3)] == [201] * 3


def interrupt_a_spinner(cpu):
    board = Board.on(cpu)
    while not board.work.load():
        sched.cpu_relax()
    return sched.preempt_count(), sched.irqs_disabled()


def test_interrupts_a_poller(machine):
    """A task that polls is interrupted, and goes on as it was."""
    m = machine(2)
    polls = m.start(interrupt_a_spinner, 1, cpu=1)
    m.run(smp_call_function_single, 1, count, 1, True)
    assert polls.result() == (0, False)


def call_with_interrupts_off():
    flags = sched.local_irq_save()
    try:
        smp_call_function_single(1, count, 1, True)
    finally:
        sched.local_irq_restore(flags)


def test_interrupts_off(machine):
    """Waiting with interrupts off is refused: two CPUs could hang."""
    with pytest.raises(UsageError, match="interrupts off"):
        machine(2).run(call_with_interrupts_off)


@pytest.mark.parametrize("cpu", [-1, 2])
def test_not_online(machine, cpu):
    """A CPU that is not online cannot be called."""
    with pytest.raises(UsageError, match="not online"):
        machine(2).run(smp_call_function_single, cpu, count, 0, True)


def raise_ipi(cpu, bit):
    """To CPU 1 it takes for ever.  And nobody may take its CPU down meanwhile."""
    Board.on(0).where.store(native.preempt_count())
    if cpu != 1:
        irq.runqueues[cpu].ipi.fetch_or(bit)
        irq.system.memory.kick(cpu)


def call_and_take_down():
    smp_call_function_single(1, count, 1, False)
    preempt_off = Board.on(0).where.load()
    cpu_down(1)
    return preempt_off, Board.on(1).work.load()


def test_a_call_is_not_lost_with_its_cpu(machine):
    """What was queued when the CPU was online runs as it goes, though no interrupt came."""
    m = machine(2, overrides=[make_override(irq.raise_ipi, raise_ipi)])
    assert m.run(call_and_take_down) == (1, 1)


def hold_interrupts(cpu):
    """Call oneself with interrupts off: it runs when they are on again."""
    flags = sched.local_irq_save()
    smp_call_function_single(cpu, count, cpu, False)
    before = Board.on(cpu).work.load()
    sched.local_irq_restore(flags)
    return before, Board.on(cpu).work.load()


def test_held_back(machine):
    """An interrupt waits until interrupts are on."""
    assert machine(2).run(hold_interrupts, 0) == (0, 1)
