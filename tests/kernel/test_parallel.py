"""Kernel threads of one creator run at once: each begins in the process of the CPU that runs it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kemu import PerCPU, Word
from kemu.kernel.kthread import kthread_bind, kthread_create, kthread_create_on_node, kthread_stop
from kemu.kernel.sched import set_cpus_allowed_ptr, wake_up_process
from kemu.kernel.sched.completion import complete, completion_on_stack, wait_for_completion
from kemu.native import smp_processor_id

ADDITIONS = 20_000      # of each side, in each contest
CONTESTS = 5


class Arena(PerCPU):
    """Of CPU 0: what both sides add to."""

    arrived = Word()
    number = Word()


class Contender(PerCPU):
    """Of each CPU: in which process its side ran, and how many of its additions collided."""

    pid = Word()
    collisions = Word()


def contend(cpu: int) -> None:
    """Meet the other side, then add to the number.  Counts the additions that collided."""
    arena, mine = Arena.on(0), Contender.on(cpu)
    assert smp_processor_id() == cpu
    mine.pid.store(os.getpid())
    if arena.arrived.add(1) % 2:
        arena.arrived.wait_while(arena.arrived.load() | 1)
    seen, collisions = arena.number.load(), 0
    for _ in range(ADDITIONS):
        found = arena.number.cmpxchg(seen, seen + 1)
        if found != seen:
            collisions += 1
        seen = found + (found == seen)
    mine.collisions.add(collisions)


def contend_as_thread(data: tuple[int, Any]) -> int:
    cpu, done = data
    contend(cpu)
    complete(done)
    return 0


def contend_in_threads(bind: bool) -> None:
    """Create a thread for each CPU, all here, and let them contend."""
    with completion_on_stack() as done:
        threads = [kthread_create(contend_as_thread, (cpu, done), f"contender/{cpu}")
                   for cpu in range(2)]
        for cpu, thread in enumerate(threads):
            if bind:
                kthread_bind(thread, cpu)
            else:
                set_cpus_allowed_ptr(thread, 1 << cpu)
        for thread in threads:
            wake_up_process(thread)
        for _ in threads:
            wait_for_completion(done)
        for thread in threads:
            kthread_stop(thread)


def collisions_of(m) -> int:
    with m.looking():
        return sum(Contender.on(cpu).collisions.xchg(0) for cpu in range(2))


@pytest.mark.parametrize("bind", [False, True])
def test_begins_where_it_runs(machine, bind):
    """The processes of two threads are those of their CPUs, though one task created both."""
    m = machine(2)
    m.run(contend_in_threads, bind)
    with m.looking():
        assert [Contender.on(cpu).pid.load() for cpu in range(2)] == [m.pids[0], m.pids[1]]


def in_given_home(_: object) -> int:
    return os.getpid()


def process_of_a_thread_with_a_home(cpu: int) -> int:
    with completion_on_stack() as done:
        thread = kthread_create_on_node(report_process, done, 0, "stays", home=cpu)
        set_cpus_allowed_ptr(thread, 1 << (1 - cpu))
        wake_up_process(thread)
        wait_for_completion(done)
        return kthread_stop(thread)


def report_process(done: Any) -> int:
    complete(done)
    return os.getpid()


@pytest.mark.parametrize("cpu", range(2))
def test_a_home_that_the_creator_chose_stays(machine, cpu):
    """kthread_create_on_node(home=) is kept, wherever the thread runs."""
    m = machine(2)
    assert m.run(process_of_a_thread_with_a_home, cpu) == m.pids[cpu]


def test_collides_like_tasks_with_homes_of_their_own(machine):
    """Contests of both kinds alternate; in the best of each, the threads collide half as often at least.

    A contest in which the host ran the two sides one after the other has no collisions, whichever
    kind it is, so the best of several counts.  Threads of one process collide a thousandth as often.
    """
    m = machine(2)
    tasks, threads = [], []
    for _ in range(CONTESTS):
        for handle in [m.start(contend, cpu, cpu=cpu) for cpu in range(2)]:
            handle.result()
        tasks.append(collisions_of(m))
        m.run(contend_in_threads, False)
        threads.append(collisions_of(m))
    assert max(threads) * 2 >= max(tasks), (threads, tasks)
