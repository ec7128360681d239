"""A signal's handler, which may come in the middle of anything, and a machine."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from kemu import Machine
from kemu.errors import MachineError, UsageError
from kemu.kernel.sched.completion import Completion, wait_for_completion
from kemu.machine import helper_link
from tests.machine.test_crash import run_program


def wait_for_ever():
    wait_for_completion(Completion.alloc())


def echo(thing):
    return thing


@pytest.fixture
def when_waiting():
    """Have the function called by a signal, once the test waits for a result of the machine."""
    threads = []

    def arm(m: Machine, handler: Callable[[], object]) -> None:
        me = threading.get_ident()

        def ring() -> None:
            while me not in m.waiting:
                time.sleep(0.01)
            signal.pthread_kill(me, signal.SIGALRM)

        signal.signal(signal.SIGALRM, lambda *_: handler())
        threads.append(threading.Thread(target=ring))
        threads[0].start()

    yield arm
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_handler_that_waits(machine, when_waiting):
    """The call would wait for a thread that waits for it, so it is refused."""
    m = machine(2)
    when_waiting(m, lambda: m.run(echo, 1, cpu=1))
    with pytest.raises(UsageError, match="this thread is waiting"):
        m.run(wait_for_ever)
    assert m.run(echo, 2) == 2


def test_handler_that_starts(machine, when_waiting):
    """The handler may start a task, and the interrupted thread may take the result."""
    m, handles = machine(2), []
    waiting = m.start(wait_for_ever)
    when_waiting(m, lambda: handles.append(m.start(echo, 3)))
    while not handles:
        assert not waiting.wait(0.1)
    assert handles[0].result(30) == 3


def test_handler_of_another_machine(machine, when_waiting):
    """The handler may use a machine of its own, whatever thread it interrupted."""
    m, other, answers = machine(1), machine(1), []
    waiting = m.start(wait_for_ever)
    when_waiting(m, lambda: answers.append(other.run(echo, 4)))
    while not answers:
        assert not waiting.wait(0.1)
    assert answers == [4]


def test_handler_that_closes(machine, when_waiting):
    """The thread that waits gets the error."""
    m = machine(2)
    when_waiting(m, m.close)
    with pytest.raises(MachineError, match="closed"):
        m.run(wait_for_ever)


def test_handler_that_interrupts_under_a_lock(machine):
    """Each lock that a handler may find held by its own thread can be taken again."""
    m = machine(1)
    with m._inbox.lock, helper_link._lock:
        assert machine(1).run(echo, 5) == 5
        m.start(wait_for_ever)
        m.close()


def test_closed_before_it_was_expected(machine, monkeypatch):
    """If a handler closes the machine as start() begins, start() raises and every wait ends."""
    m = machine(1)

    class Lock:
        def __enter__(self):
            m._inbox.lock = threading.RLock()
            m.close()

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(m._inbox, "lock", Lock())
    with pytest.raises(MachineError):
        m.run(echo, 6)


def test_children_ignored():
    """A program that ignores SIGCHLD, as a daemon may: the helper reaps the CPUs all the same."""
    assert run_program("odd_environment.py") == "42\n42\n"
