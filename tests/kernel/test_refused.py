"""What is refused leaves nothing behind: no reference, no thread, no block of the heap."""

from __future__ import annotations

import pytest

from kemu.errors import NoTask, OutOfMemory
from kemu.kernel import kthread, smpboot
from kemu.kernel.own.system import system as this_machine
from kemu.kernel.sched import current
from tests.kernel.threads import blocks_at_rest, sleeper

TIMES = 20


def top_of_heap():
    return this_machine.header.heap_brk.load()


@pytest.mark.parametrize("refused", [kthread.kthread_park, kthread.kthread_unpark, kthread.kthread_stop])
def test_no_kernel_thread(machine, refused):
    """The reference that was taken to look is dropped: the task's slot is free again."""
    m = machine()

    def misuse():
        with pytest.raises(NoTask):
            refused(current())

    m.run(misuse)
    before = len(m.tasks())
    for _ in range(TIMES):
        m.run(misuse)
    assert len(m.tasks()) < before + TIMES      # the last one may be dying yet


def create_in_vain():
    """The heap's top after the first refusal, and after many."""
    threads, tops = [], []
    try:
        while True:
            threads.append(kthread.kthread_create(sleeper, None, "k"))
    except OutOfMemory:
        pass
    for _ in range(TIMES):
        with pytest.raises(OutOfMemory):
            kthread.kthread_create(sleeper, "x" * 100_000, "k")
        tops.append(top_of_heap())
    for k in threads:
        kthread.kthread_stop(k)
    return tops[0], tops[-1]


def test_no_slot_for_a_thread(machine):
    """Nor is what was meant for the thread kept."""
    first, last = machine(tasks=20).run(create_in_vain)
    assert first == last


class Heavy:
    """Cannot be loaded where it arrives."""

    def __init__(self, weight):
        self.weight = weight

    def __setstate__(self, state):
        raise ValueError("will not be loaded")


def nothing(*args):
    pass


def test_arguments_that_cannot_be_loaded(machine):
    """Their block is freed all the same."""
    m = machine()
    tops = []
    for _ in range(TIMES):
        with pytest.raises(ValueError, match="will not be loaded"):
            m.run(nothing, Heavy("x" * 100_000))
        tops.append(m.run(top_of_heap))
    assert tops[1] == tops[-1]


def register_in_vain():
    threads = []
    try:
        while True:
            threads.append(kthread.kthread_create(sleeper, None, "k"))
    except OutOfMemory:
        pass
    kthread.kthread_stop(threads.pop())     # room for one CPU's thread, not for two
    mine = smpboot.SmpHotplugThread(thread_comm="mine/%u", thread_should_run=nothing, thread_fn=nothing)
    before = blocks_at_rest()
    with pytest.raises(OutOfMemory):
        smpboot.smpboot_register_percpu_thread(mine)
    assert blocks_at_rest() == before
    for k in threads:
        kthread.kthread_stop(k)
    assert smpboot.smpboot_register_percpu_thread(mine) == 0
    smpboot.smpboot_unregister_percpu_thread(mine)


def test_no_slot_for_a_thread_of_each_cpu(machine):
    """Those that were made are stopped, and the descriptor can be registered again."""
    m = machine(2, tasks=20)
    m.run(register_in_vain)
    assert not [task for task in m.tasks() if task.comm.startswith("mine")]
