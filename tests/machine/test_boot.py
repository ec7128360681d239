"""Machines of every size come up, side by side and one after another, and go."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from kemu import Machine, native
from kemu.errors import UsageError
from tests.machine.test_crash import run_program


def where():
    return native.smp_processor_id(), native.getcpu()


def squared(n):
    return n * n


@pytest.mark.parametrize("cpus", [1, 2, 3, 17])
def test_sizes(machine, cpus):
    """A machine has the CPUs it was asked for, on the host cores it says."""
    m = machine(cpus)
    assert [m.run(where, cpu=cpu) for cpu in range(cpus)] == list(enumerate(m.placement))


def test_one_process_per_cpu(machine):
    """Every CPU is a process of its own, and none is the caller's."""
    assert len({os.getpid(), *machine(3).pids.values()}) == 4


def test_one_after_another(machine):
    """The helper stays for the next boot, and every machine is new."""
    found = []
    for n in range(10):
        with machine(2) as m:
            found.append(m.run(squared, n, cpu=1))
    assert found == [n * n for n in range(10)]


def test_the_helper_takes_the_controllers_kemu():
    """Another kemu that comes first on sys.path later does not reach the helper."""
    assert run_program("other_kemu.py") == "42\n"


def test_side_by_side(machine):
    """Several machines at once are told apart."""
    machines = [machine(2) for _ in range(3)]
    handles = [m.start(squared, n, cpu=1) for n, m in enumerate(machines)]
    assert [handle.result() for handle in handles] == [0, 1, 4]


def test_one_of_two_closes(machine):
    """Closing a machine does not disturb the one beside it."""
    one, other = machine(2), machine(2)
    one.close()
    assert other.run(squared, 3) == 9


def boot_and_run(n):
    with Machine(2) as m:
        return m.run(squared, n)


def test_from_threads():
    """A machine may be booted, used and closed in any thread."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(boot_and_run, range(8))) == [n * n for n in range(8)]


def test_outlives_the_thread_that_booted_it(machine):
    """A machine lives on when the thread that booted it has ended."""
    with ThreadPoolExecutor(1) as pool:
        m = pool.submit(machine, 2).result()
    assert m.run(squared, 3) == 9


def test_placement(machine):
    """Both CPUs may be put on one host core."""
    core = min(os.sched_getaffinity(0))
    m = machine(2, placement=[core, core])
    assert [m.run(where, cpu=cpu) for cpu in (0, 1)] == [(0, core), (1, core)]


def test_placement_outside_the_mask():
    """A host core this process may not use is refused, and the mask is named."""
    mask = sorted(os.sched_getaffinity(0))
    with pytest.raises(UsageError) as caught:
        Machine(2, placement=[mask[0], mask[-1] + 1])
    assert str(mask) in str(caught.value)


def test_placement_of_the_wrong_length():
    """Each CPU needs a place."""
    with pytest.raises(UsageError, match="names 1 host cores for 2 CPUs"):
        Machine(2, placement=[0])


def test_unknown_option():
    """A mistyped option is an error."""
    with pytest.raises(TypeError):
        Machine(2, cpu=1)


def test_no_polling(machine):
    """A machine that never polls works."""
    assert machine(2, poll_us=0).run(squared, 3, cpu=1) == 9


def test_close_twice(machine):
    """Closing twice is harmless."""
    m = machine()
    m.close()
    m.close()


def test_report(machine):
    """A live machine can be looked at: every CPU and its idle task are named."""
    assert all(f"swapper/{cpu}" in machine(3).report() for cpu in range(3))
