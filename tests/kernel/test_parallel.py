"""Kernel threads of one creator run at once: each begins in the process of the CPU that runs it."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kemu import PerCPU, Word
from kemu.kernel.kthread import kthread_bind, kthread_create, kthread_create_on_node, kthread_stop
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.sched import set_cpus_allowed_ptr, wake_up_process
from kemu.kernel.sched.completion import complete, completion_on_stack, wait_for_completion
from kemu.kernel.sched.runqueue import runqueues
from kemu.memory.views import took_turns
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


def create_some(number: int) -> list[int]:
    """The homes of so many threads that are created and not woken.  They are stopped again."""
    threads = [kthread_create(in_given_home, None, f"spread/{i}") for i in range(number)]
    homes = [thread.home.load() for thread in threads]
    for thread in threads:
        kthread_stop(thread)
    return homes


def count_homes() -> list[int]:
    wait_until_quiet()      # the tasks before have left their last switch
    return [cpu.homes.load() for cpu in runqueues]


def test_unbound_threads_are_spread(machine):
    """Threads that one task creates live in the processes of all CPUs, before the first of them runs."""
    m = machine(3)
    m.run(create_some, 1)
    assert set(m.run(create_some, 6)) >= {1, 2}


def test_homes_are_counted(machine):
    """Threads that end, bound or not, leave the counts of homes as they were."""
    m = machine(2)
    m.run(contend_in_threads, True)
    before = m.run(count_homes)
    for bind in (False, True):
        m.run(contend_in_threads, bind)
    m.run(create_some, 4)
    assert m.run(count_homes) == before


@pytest.mark.parametrize("own", [False, True])
def test_turns_are_counted(machine, own):
    """Two threads that contend on two cores take turns if they live in one process, and only then."""
    m = machine(2)
    if len(set(m.placement)) < 2:
        pytest.skip("one core: no two tasks run at once")
    m.run(contend_at_home, own)
    assert bool(took_turns(m.memory)) == (not own)
    assert ("took turns" in m.report()) == (not own)


def contend_at_home(own: bool) -> None:
    """Let a thread for each CPU contend: both live in CPU 0's process, or each in its CPU's own."""
    with completion_on_stack() as done:
        for cpu in range(2):
            thread = kthread_create_on_node(contend_as_thread, (cpu, done), 0, f"contender/{cpu}",
                                            home=cpu if own else 0)
            set_cpus_allowed_ptr(thread, 1 << cpu)
            wake_up_process(thread)
        for _ in range(2):
            wait_for_completion(done)
