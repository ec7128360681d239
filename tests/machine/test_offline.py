"""A function for a CPU that goes offline meanwhile: it is run, or refused, and nobody waits."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kemu.errors import UsageError
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.sched.runqueue import this_rq
from kemu.kernel.v2_6 import cpu as v2_6
from kemu.machine.mailbox_irq import close_mailbox
from kemu.memory.struct import Struct, Word
from kemu.native import local_irq_restore, local_irq_save

GONE = "CPU 1 went offline before the task could begin"


def double(n):
    return 2 * n


class OnTheWay:
    """Takes the CPU down while it is copied: after the look whether it is online."""

    def __init__(self, m):
        self.m = m

    def __reduce__(self):
        assert self.m.run(cpu_down, 1) == 0
        return int, ("21",)


def test_offline_before_it_is_posted(machine):
    """The controller takes it back."""
    m = machine(2)
    with pytest.raises(UsageError, match=GONE):
        m.run(double, OnTheWay(m), cpu=1)
    assert m.run(cpu_up, 1) == 0
    assert m.run(double, 21, cpu=1) == 42


class Told(Struct):
    """What a task and its test say to each other."""

    deaf = Word()


def refuse_what_comes(told):
    """On CPU 1, deaf to interrupts until something is in its mailbox, as if it were going."""
    flags = local_irq_save()
    told.deaf.store(1)
    this_rq().mailbox.wait_while(0)
    close_mailbox(1)
    local_irq_restore(flags)


def test_offline_before_it_is_taken(machine):
    """The CPU refuses it."""
    m = machine(2)
    with m.looking():
        told = Told.alloc()
        task = m.start(refuse_what_comes, told, cpu=1)
        told.deaf.wait_while(0)
    with pytest.raises(UsageError, match=GONE):
        m.run(double, 21, cpu=1)
    task.result()


def down_and_up(times):
    for _ in range(times):
        assert cpu_down(1) == 0
        assert cpu_up(1) == 0


def down_and_up_2_6(times):
    for _ in range(times):
        assert v2_6.cpu_down(1) == 0
        assert v2_6.cpu_up(1) == 0


@pytest.mark.parametrize(("kernel", "hotplug"), [("4.13", down_and_up), ("2.6.6", down_and_up_2_6)])
def test_while_it_comes_and_goes(machine, kernel, hotplug):
    """Each is run or refused; none waits for a CPU that is off."""
    m = machine(2, kernel=kernel)
    over = threading.Event()

    def ask():
        while not over.is_set():
            with contextlib.suppress(UsageError):
                assert m.run(double, 21, cpu=1) == 42

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            m.run(hotplug, 60)
        finally:
            over.set()
        asking.result()
    assert m.run(double, 21, cpu=1) == 42
