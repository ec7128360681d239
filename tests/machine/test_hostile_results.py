"""What a task returns or raises may do anything when it is loaded: one call fails, no more."""

from __future__ import annotations

import sys
from errno import EIO

import pytest

from kemu import MachineStopped, RemoteError, UsageError
from kemu.kernel import sched
from kemu.kernel.hotplug.cpuhp import CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state


class Lie(Exception):
    """Comes back as no exception at all."""

    def __reduce__(self):
        return int, (3,)


class Leaves:
    """An object that ends the process that loads it."""

    def __reduce__(self):
        return sys.exit, (3,)


class Mute(BaseException):
    """Cannot be shown; no Exception, so it does not travel itself."""

    def __str__(self) -> str:
        raise Mute


class Unseen:
    """Neither travels nor can be shown."""

    def __reduce__(self):
        raise ValueError

    def __repr__(self) -> str:
        raise ZeroDivisionError


def raise_mute() -> None:
    raise Mute


def raise_lie() -> None:
    raise Lie


def return_leaver() -> Leaves:
    return Leaves()


def raise_stopped() -> None:
    raise MachineStopped("says the task itself")


@pytest.mark.parametrize("function", [raise_lie, return_leaver, raise_stopped, raise_mute])
def test_one_call_fails_and_no_more(machine, function):
    """A RemoteError for that call; the machine goes on."""
    m = machine(1)
    with pytest.raises(RemoteError):
        m.run(function, timeout=30)
    assert m.run(sched.smp_processor_id, timeout=30) == 0


def test_neither_travels_nor_shows(machine):
    """The caller's own argument is refused in words, whatever its repr() does."""
    with pytest.raises(UsageError, match=r"whose repr\(\) raises ZeroDivisionError cannot go"):
        machine(1).run(len, Unseen())


@pytest.mark.parametrize("stdout", [None, 7])
def test_no_stdout(machine, stdout):
    """A task that replaces sys.stdout harms what it prints, and no more."""
    m = machine(1)
    m.run(setattr, sys, "stdout", stdout)
    assert m.run(sched.smp_processor_id, timeout=30) == 0


def print_oddly() -> None:
    sys.stdout.writelines(["one\n", "\ud800\n"])
    sys.stdout.close()


def test_prints_oddly(machine):
    """What cannot be printed is replaced; closing it closes nothing."""
    lines = []
    m = machine(1, console=lines.append)
    m.run(print_oddly)
    assert m.run(prints) == 1
    assert [line.split("] ")[1] for line in lines] == ["one", "?", "hello"]


def prints() -> int:
    print("hello")
    return 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_console_that_raises(machine):
    """The console callback's own bug is not the machine's; it is shown as a thread's is."""
    m = machine(1, console=lambda line: 1 // 0)
    assert [m.run(prints), m.run(prints)] == [1, 1]


@pytest.mark.parametrize("callback", [lambda cpu: sys.exit(3), lambda cpu: 2**80])
def test_callback_that_exits(machine, callback):
    """A hotplug callback that raises SystemExit, or returns no errno: -EIO, and undone."""
    m = machine(1)
    assert m.run(cpuhp_setup_state, CpuhpState.CPUHP_AP_ONLINE_DYN, "odd", callback, None) == -EIO


def loop_until(flag_holder: sched.WaitQueue) -> int:
    while not flag_holder.lock.load():
        sched.cond_resched()
    return 1


def test_cond_resched_takes_interrupts(machine):
    """A function can be started on a CPU whose task only calls cond_resched()."""
    m = machine(2)
    with m.looking():
        flag = sched.WaitQueue.alloc()
    looping = m.start(loop_until, flag, cpu=1)
    assert m.run(sched.smp_processor_id, cpu=1, timeout=30) == 1
    flag.lock.store(1)
    assert looping.result(30) == 1
