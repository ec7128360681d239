"""kemu.exec: the task stays, what it runs does not."""

from __future__ import annotations

import os

import pytest

import kemu
from kemu.kernel import kthread, sched
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.own.system import system as board
from kemu.kernel.own.version import VERSIONS
from kemu.memory.struct import Lock, PerCPU, Word

EVERYWHERE = 0b1111


class Board(PerCPU):
    """Of CPU 0."""

    lock = Lock()
    cleaned = Word()


def who(*args: int, **kwargs: int) -> tuple[int, str, tuple[int, ...], dict[str, int]]:
    return sched.current().pid.load(), sched.current().comm, args, kwargs


def become(*args: int, **kwargs: int) -> None:
    Board.on(0).cleaned.store(sched.current().pid.load())
    kemu.exec(who, *args, **kwargs)


@pytest.mark.parametrize("kernel", VERSIONS)
def test_the_result_is_the_successors(machine, kernel):
    """Same pid, its own name, arguments as given."""
    m = machine(2, kernel=kernel)
    pid, comm, args, kwargs = m.run(become, 1, 2, three=3)
    assert (comm, args, kwargs) == ("who", (1, 2), {"three": 3})
    with m.looking():
        assert Board.on(0).cleaned.load() == pid


def chain(left: int, seen: list[tuple[int, int]]) -> list[tuple[int, int]]:
    seen.append((sched.smp_processor_id(), os.getpid()))
    if not left:
        return seen
    sched.set_cpus_allowed_ptr(sched.current(), 1 << (left % 4))
    sched.set_cpus_allowed_ptr(sched.current(), EVERYWHERE)
    kemu.exec(chain, left - 1, seen)


@pytest.mark.parametrize("kernel", VERSIONS)
def test_it_goes_on_in_the_process_of_its_cpu(machine, kernel):
    """Re-homed: the thread that runs is one of the CPU's own process."""
    m = machine(4, kernel=kernel)
    seen = m.run(chain, 12, [])
    assert len(seen) == 13
    assert all(m.pids[cpu] == pid for cpu, pid in seen)
    assert len({cpu for cpu, _ in seen}) > 1


def fails() -> None:
    raise ValueError("the successor's")


def become_one_that_fails() -> None:
    kemu.exec(fails)


def test_the_successors_exception(machine):
    """It is raised at the caller's, as any task's."""
    with pytest.raises(ValueError, match="the successor's"):
        machine(2).run(become_one_that_fails)


def clean_up() -> None:
    try:
        kemu.exec(who)
    finally:
        Board.on(0).cleaned.add(1)


def test_finally_is_run(machine):
    """As by SystemExit, and still as the old task."""
    m = machine(2)
    m.run(clean_up)
    with m.looking():
        assert Board.on(0).cleaned.load() == 1


def with_a_lock() -> None:
    flags = Board.on(0).lock.lock_irqsave()
    try:
        kemu.exec(who)
    finally:
        Board.on(0).lock.unlock_irqrestore(flags)


def from_a_kthread() -> int:
    return kthread.kthread_stop(kthread.kthread_run(execs_in_a_kthread, None, "k"))


def execs_in_a_kthread(data: object) -> int:
    try:
        kemu.exec(who)
    except kemu.UsageError:
        return 7


def what_cannot_be_copied() -> None:
    kemu.exec(who, (one for one in ()))


def no_function() -> None:
    kemu.exec(5)


@pytest.mark.parametrize(("call", "why"), [(with_a_lock, "a lock is held"),
                                           (what_cannot_be_copied, "generator"),
                                           (no_function, "5 is not callable")])
def test_refused(machine, call, why):
    """UsageError, and the task goes on."""
    with pytest.raises(kemu.UsageError, match=why):
        machine(2).run(call)


def test_a_kernel_thread_has_no_program(machine):
    """UsageError in it."""
    assert machine(2).run(woken_kthread) == 7


def woken_kthread() -> int:
    k = kthread.kthread_create(execs_in_a_kthread, None, "k")
    sched.wake_up_process(k)
    sched.schedule_timeout_uninterruptible(20)
    return kthread.kthread_stop(k)


def test_many_leave_nothing(machine):
    """Slots and heap are as before: the fixture checks threads and descriptors, too."""
    m = machine(4)
    tasks = m.run(count_at_rest)
    handles = [m.start(chain, 20, [], cpu=cpu) for cpu in range(4)]
    assert [len(handle.result()) for handle in handles] == [21] * 4
    assert m.run(count_at_rest) == tasks


def count_at_rest() -> int:
    """A task's result is sent before it dies: wait until all have."""
    wait_until_quiet()
    return len(board.tasks.used())


def exec_on_a_dying_cpu(rounds: int) -> int:
    if not rounds:
        return 0
    sched.set_cpus_allowed_ptr(sched.current(), EVERYWHERE)
    kemu.exec(exec_on_a_dying_cpu, rounds - 1)


def cycle(version: str, rounds: int) -> list[str]:
    from kemu.kernel.own.version import kernel_named

    kernel = kernel_named(version)
    for number in range(rounds):
        cpu = 1 + number % 3
        assert (kernel.cpu_down(cpu), kernel.cpu_up(cpu)) == (0, 0)
    return kernel.audit()


@pytest.mark.parametrize("kernel", VERSIONS)
def test_storm_beside_hotplug(machine, kernel):
    """CPUs come and go under tasks between two lives."""
    m = machine(4, kernel=kernel)
    storm = [m.start(exec_on_a_dying_cpu, 100, cpu=cpu) for cpu in range(4)]
    assert m.run(cycle, kernel, 12) == []
    assert [one.result() for one in storm] == [0] * 4
