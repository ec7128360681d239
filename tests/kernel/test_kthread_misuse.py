"""Calls of kthread functions that cannot be: each says what is wrong."""

from __future__ import annotations


import pytest

from kemu.errors import NoTask, UsageError
from kemu.kernel.kthread import (kthread_bind, kthread_create, kthread_create_on_cpu, kthread_data,
                                 kthread_is_parked, kthread_park, kthread_should_park,
                                 kthread_should_stop, kthread_stop, kthread_unpark)
from kemu.kernel.sched import current
from tests.kernel.threads import sleeper


@pytest.mark.parametrize("cpu", [-1, 2, "0", None])
def test_create_on_wrong_cpu(machine, cpu):
    """A thread for a CPU there is not is refused."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        machine().run(kthread_create_on_cpu, sleeper, None, cpu, "k/%u")


def bind_to(cpu):
    k = kthread_create(sleeper, None, "k")
    try:
        kthread_bind(k, cpu)
    finally:
        kthread_stop(k)


@pytest.mark.parametrize("cpu", [-1, 2, "0", None])
def test_bind_to_wrong_cpu(machine, cpu):
    """So is binding one to it."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        machine().run(bind_to, cpu)


def test_not_callable(machine):
    """A thread's function is callable."""
    with pytest.raises(UsageError, match="not callable"):
        machine().run(kthread_create, 42, None, "k")


@pytest.mark.parametrize("function", [kthread_should_stop, kthread_should_park])
def test_not_a_kthread(machine, function):
    """What is for kernel threads says so to other tasks."""
    with pytest.raises(NoTask, match="not a kernel thread"):
        machine().run(function)


def on_current(function):
    return function(current())


@pytest.mark.parametrize("function", [kthread_park, kthread_unpark, kthread_stop, kthread_data,
                                      kthread_is_parked])
def test_task_that_is_no_kthread(machine, function):
    """A task that is not a kernel thread cannot be parked, unparked or stopped."""
    with pytest.raises(NoTask, match="not a kernel thread"):
        machine().run(on_current, function)


@pytest.mark.parametrize("function", [kthread_park, kthread_unpark, kthread_stop, kthread_is_parked])
def test_no_task_at_all(machine, function):
    """What is no task is a UsageError that says what is wanted."""
    with pytest.raises(UsageError, match="task"):
        machine().run(function, "storm/0")


@pytest.mark.parametrize("function", [kthread_should_stop, current])
def test_outside_a_task(function):
    """In the user's own process there is no current task."""
    with pytest.raises(NoTask):
        function()


def bad_format():
    return kthread_create_on_cpu(sleeper, None, 1, "k/%s/%s")


def test_bad_format(machine):
    """A name that cannot be made is an error of the caller."""
    with pytest.raises(UsageError):
        machine().run(bad_format)
