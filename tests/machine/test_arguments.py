"""Arguments that cannot be: a UsageError that names the argument and what is accepted, at once."""

from __future__ import annotations

import os
import threading
from decimal import Decimal

import pytest

from kemu import Machine, native
from kemu.errors import UsageError
from kemu.kernel.sched.completion import Completion
from kemu.machine.arguments import TASKS_MORE, TASKS_PER_CPU
from kemu.memory.struct import Lock, PerCPU, Struct, Word

NAN, INFINITE = float("nan"), float("inf")


class Nameless:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


NO_INTS = ["2", 2.0, NAN, True, None, -1, 1 << 70, b"2", [], Decimal(2), Nameless()]
NO_SECONDS = ["x", NAN, -1, True, [], -0.5, -INFINITE, Nameless(), Decimal(2)]


def echo(thing):
    return thing


def shown(value):
    return type(value).__name__


@pytest.mark.parametrize(("name", "value"), [
    *[("cpus", value) for value in [*NO_INTS, 0, native.MAX_CPUS + 1]],
    *[("tasks", value) for value in [*NO_INTS, 0, 8, native.MAX_TASKS + 1] if value is not None],
    *[("poll_us", value) for value in [*NO_INTS, 1_000_001]],
    *[("memory", value) for value in [*NO_INTS, 0]],
    *[("watchdog", value) for value in [*NO_SECONDS, None, 1e-9, INFINITE, 10**400]],
    *[("hung_task", value) for value in [*NO_SECONDS, None, 1e-9, INFINITE, 10**400, 5]],
    *[("trace", value) for value in ["yes", 1, 0, None, Nameless()]],
    *[("warn", value) for value in ["perhaps", None, True, [], 7, Nameless()]],
    *[("kernel", value) for value in ["4.14", None, 4.13, [], Nameless()]],
    *[("console", value) for value in ["x", 7, object(), Nameless()]],
    *[("overrides", value) for value in ["x", None, 7, [7], {1: 2}, Nameless()]],
    *[("placement", value) for value in ["01", 7, [0], [0, 0, 0], [0, NAN], [0, None], [0, True],
                                         [0, "0"], [0, -1], [0, 0.0], {0: 0, 1: 0}, Nameless(),
                                         [Nameless(), 0]]],
], ids=shown)
def test_machine(name, value):
    """Nothing is started."""
    with pytest.raises(UsageError, match=name):
        Machine(**{"cpus": 2, name: value})


def test_fewest_tasks(machine):
    """What is accepted is enough to boot and to run something."""
    for cpus in (1, 3):
        m = machine(cpus, tasks=TASKS_MORE + TASKS_PER_CPU * cpus, watchdog=60)
        assert m.run(echo, 1) == 1


@pytest.mark.parametrize("timeout", NO_SECONDS, ids=shown)
def test_timeout(machine, timeout):
    """The task is not even started by run(); a handle is as it was."""
    m = machine(1)
    with pytest.raises(UsageError, match="timeout"):
        m.run(os._exit, 3, timeout=timeout)
    handle = m.start(echo, 7)
    for wait in (handle.wait, handle.result):
        with pytest.raises(UsageError, match="timeout"):
            wait(timeout=timeout)
    assert handle.result() == 7


@pytest.mark.parametrize("timeout", [None, 0.0, 60, 1e300, INFINITE, 10**400], ids=shown)
def test_timeout_of_any_size(machine, timeout):
    """A time-out longer than any wait is not a limit."""
    handle = machine(1).start(echo, 7)
    handle.wait()
    assert handle.result(timeout) == 7


@pytest.mark.parametrize("cpu", [*NO_INTS, 2], ids=shown)
def test_cpu(machine, cpu):
    """The CPUs that there are, are named."""
    with pytest.raises(UsageError, match=r"cpu=.*one of this machine's CPUs, 0 to 1"):
        machine(2).run(echo, 1, cpu=cpu)


@pytest.mark.parametrize("function", [None, 7, "echo", Nameless()], ids=shown)
def test_function(machine, function):
    """What cannot be called is refused where it is passed."""
    with pytest.raises(UsageError, match="not callable"):
        machine(1).start(function)


class OddName:
    """A function with a name that no task can have."""

    def __init__(self, name: object) -> None:
        self.__name__ = name

    def __call__(self) -> int:
        return 7


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "é" * 20, 7, None, "%s%n"], ids=repr)
def test_name_of_a_function(machine, name):
    """A function runs whatever it is called: the task's name is what fits."""
    assert machine(1).run(OddName(name)) == 7


def test_several_threads_refused(machine):
    """Each thread gets its own error."""
    m, errors = machine(1), []

    def wrong():
        with pytest.raises(UsageError) as caught:
            m.run(echo, 1, cpu=9)
        errors.append(caught.value)

    threads = [threading.Thread(target=wrong) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(error) for error in errors}) == 4


class Cell(Struct):
    word = Word()
    lock = Lock()


class PerCell(PerCPU):
    word = Word()


def make_handles():
    cell = Cell.alloc()
    return [native.current(), cell, cell.word, cell.lock, PerCell.on(0), Completion.alloc()]


def test_handles_of_another_machine(machine):
    """They are refused there, alone or in a function, and good at home."""
    one, other = machine(1), machine(2)
    handles = one.run(make_handles)
    for handle in handles:
        for way in (lambda h=handle: other.run(echo, h), lambda h=handle: other.run(lambda: h)):
            with pytest.raises(UsageError, match="of another machine"):
                way()
        assert type(one.run(echo, handle)) is type(handle)
