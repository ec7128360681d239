"""A report says where each task is: in which line, and what it waits for."""

from __future__ import annotations

import re

import psutil
import pytest

from kemu.errors import KernelHang, TaskTimeout
from kemu.kernel.sched.completion import Completion, wait_for_completion
from kemu.memory.struct import Lock, PerCPU, Word


class Two(PerCPU):
    """Of CPU 0: two locks, taken in opposite orders."""

    a = Lock()
    b = Lock()
    held = Word()


def meet(two):
    two.held.add(1)
    while two.held.load() < 2:
        pass


def take_a_then_b():
    two = Two.on(0)
    two.a.lock()
    meet(two)
    two.b.lock()        # of the other


def take_b_then_a():
    two = Two.on(0)
    two.b.lock()
    meet(two)
    two.a.lock()        # of the other


def wait_for_ever():
    wait_for_completion(Completion.alloc())


def compute_for_ever():
    while True:
        pass


def lines_of(text, task):
    """The source lines of a task's stack."""
    found = re.search(rf"^{task} \(pid \d+\), on CPU \d:\n((?:  .*\n)+)", text, re.M)
    return found.group(1) if found else ""


def check_deadlock(text):
    for task, line, other in [("take_a_then_b", "two.b.lock()", "take_b_then_a"),
                              ("take_b_then_a", "two.a.lock()", "take_a_then_b")]:
        assert line in lines_of(text, task)
        assert re.search(rf"^{task} .* 1  spinlock 0x[0-9a-f]+ of {other}$", text, re.M)


def test_timeout_says_where(machine):
    """Those that wait for a lock, those that sleep and those that compute; not those at rest."""
    m = machine(4)
    m.start(take_a_then_b, cpu=0)
    m.start(take_b_then_a, cpu=1)
    m.start(compute_for_ever, cpu=2)
    with pytest.raises(TaskTimeout) as raised:
        m.run(wait_for_ever, cpu=3, timeout=1)
    text = str(raised.value)
    check_deadlock(text)
    assert "wait_for_completion(Completion.alloc())" in lines_of(text, "wait_for_ever")
    assert "in compute_for_ever" in lines_of(text, "compute_for_eve")
    assert lines_of(text, "cpuhp/3") == ""
    assert re.search("^at rest in CPU 3's process: .*cpuhp/3", text, re.M)


def test_hang_says_where(machine):
    """The machine stops, and its threads end: the report still knows where they were."""
    m = machine(3, watchdog=1)
    m.start(take_a_then_b, cpu=1)
    with pytest.raises(KernelHang, match="soft lockup") as raised:
        m.run(take_b_then_a, cpu=2)
    check_deadlock(str(raised.value))


def test_a_process_that_does_not_answer(machine):
    """The report names it, and has the stacks of the others."""
    m = machine(2)
    m.start(wait_for_ever, cpu=0)
    psutil.Process(m.pids[1]).suspend()
    while not lines_of(text := m.report(stacks=True), "wait_for_ever"):
        pass            # it has not begun
    assert "CPU 1's process does not answer" in text


def test_a_machine_that_ended(machine):
    """Its memory is there, its tasks are not."""
    m = machine(2)
    m.close()
    assert "at rest" not in m.report(stacks=True)
