"""A lock that an interrupt takes, and that is held elsewhere with interrupts on, is told at once."""

from __future__ import annotations

import re

import pytest

import kemu
from kemu import native
from kemu.harness.runner import Plan, run_race
from kemu.kernel.irq import smp_call_function_single
from kemu.memory.struct import Lock, PerCPU, Word
from kemu.memory.views import Header
from kemu.races import FORCED, exhibit


class Guarded(PerCPU):
    lock = Lock()
    count = Word()


def count_in_interrupt(cpu):
    shared = Guarded.on(cpu)
    shared.lock.lock()
    shared.count.inc()
    shared.lock.unlock()


def count_with_interrupts_on():
    count_in_interrupt(0)


def count_with_interrupts_off():
    shared = Guarded.on(0)
    flags = shared.lock.lock_irqsave()
    shared.count.inc()
    shared.lock.unlock_irqrestore(flags)


def interrupt_cpu_1():
    smp_call_function_single(1, count_in_interrupt, 0, True)


def tracked(machine):
    """A machine whose lock uses are tracked."""
    m = machine(2)
    Header(m.memory).gate.fetch_or(native.GATE_LOCKDEP)
    return m


def use(m, *ways):
    for way in ways:
        m.run(way)


ON, IN = "HARDIRQ-ON-W", "IN-HARDIRQ-W"


@pytest.mark.parametrize(("first", "second", "was", "now"), [
    (count_with_interrupts_on, interrupt_cpu_1, ON, IN),
    (interrupt_cpu_1, count_with_interrupts_on, IN, ON)])
def test_both_ways_is_told(machine, first, second, was, now):
    """In either order, although nothing hung; with the stacks of both uses."""
    m = tracked(machine)
    m.run(first)
    with pytest.raises(kemu.KernelPanic) as panic:
        m.run(second)
    told = panic.value.report
    assert f"inconsistent {{{was}}} -> {{{now}}} usage." in told
    assert "(Guarded.lock)" in told
    registered = told[told.index(f"{{{was}}} state was registered at:"):]
    in_irq = "in do_IRQ"
    assert (in_irq in registered[:registered.index("Possible unsafe")]) == (was == IN)
    assert len(re.findall(r"in count_in_interrupt\n", told)) >= 2


def test_a_lock_taken_safely_is_not_told(machine):
    """In an interrupt, and elsewhere with interrupts off."""
    use(tracked(machine), count_with_interrupts_off, interrupt_cpu_1, count_with_interrupts_off)


def test_a_lock_that_no_interrupt_takes_is_not_told(machine):
    """It may be held with interrupts on."""
    use(tracked(machine), count_with_interrupts_on, count_with_interrupts_off, count_with_interrupts_on)


def test_nothing_is_tracked_unless_it_is_asked_for(machine):
    """Both ways, and nobody looks."""
    use(machine(2), count_with_interrupts_on, interrupt_cpu_1)




@pytest.mark.parametrize("name", FORCED)
def test_the_kernels_own_locks_are_taken_safely(name):
    """In every exhibit's fixed kernel: races are run with lock uses tracked."""
    plan = Plan("jitter", trials=30, seconds=60, grain="ops")
    after = run_race(exhibit(name), plan, ("after",)).after
    assert not after.hits, after.failure
