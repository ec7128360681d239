"""A task that forks: the copy is not a task, and ends when its parent ends."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from kemu import Machine, native
from kemu.errors import NoTask
from kemu.kernel import kthread, sched
from kemu.native import preempt_disable
from tests.machine.test_crash import left_of


def fork_and_leave():
    """Both return."""
    pid = os.fork()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else None


def thread(data):
    return data


def misuse():
    """Which of them a copy may call."""
    calls = [sched.schedule, sched.current, preempt_disable, lambda: kthread.kthread_run(thread, 1, "x")]
    for number, call in enumerate(calls):
        try:
            call()
        except NoTask:
            continue
        return number
    return 0


def fork_and_misuse():
    pid = os.fork()
    if not pid:
        os._exit(misuse())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_and_forget():
    pid = os.fork()
    if not pid:
        time.sleep(60)
    return pid


def fork_and_ask_late():
    """The copy asks to die with its parent when its parent is dead."""
    ask, parent = native.die_with_parent, os.getpid()

    def ask_late():
        while os.getppid() == parent:
            time.sleep(0.001)
        ask()

    native.die_with_parent = ask_late
    return fork_and_forget()


def audited(m):
    m.audit()
    return m.run(sched.smp_processor_id, timeout=30) == 0


def test_copy_leaves_the_function(machine):
    """It ends there; the task's result is the task's."""
    m = machine(2)
    assert m.run(fork_and_leave, timeout=30) == 1
    assert audited(m)


def test_copy_calls_the_kernel(machine):
    """The copy gets the error that it is not a task, and the task's own state does not change."""
    m = machine(2)
    assert m.run(fork_and_misuse, timeout=30) == 0
    assert audited(m)


@pytest.mark.parametrize("function", [fork_and_forget, fork_and_ask_late])
def test_copy_goes_with_the_machine(function):
    """The copy does not outlive the CPU, however soon after the fork the CPU dies."""
    with Machine(2) as m:
        pid = m.run(function)
    assert left_of([pid]) == []
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
