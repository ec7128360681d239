"""What repr() says of a machine, a handle and a trace: what it is, and how it stands."""

from __future__ import annotations

import os
import signal

import pytest

from kemu import MachineError
from kemu.kernel.own.point import point
from kemu.kernel.sched.wait import schedule_timeout
from kemu.trace.reader import Trace


def nothing() -> None:
    point("nothing")


def fails() -> None:
    raise KeyError("k")


def sleeps() -> None:
    while True:
        schedule_timeout(10_000_000_000)


def test_machine_that_runs(machine):
    """CPUs, kernel, and which CPUs are online."""
    assert repr(machine(3)) == "<kemu.Machine: 3 CPUs, Linux 4.13, CPUs online: 0, 1, 2>"


def test_machine_that_is_closed(machine):
    """A closed machine says so."""
    m = machine(1, kernel="2.6.6")
    m.close()
    assert repr(m) == "<kemu.Machine: 1 CPU, Linux 2.6.6, closed>"


def test_machine_that_stopped(machine):
    """A machine of which a process was killed names the error that its calls raise."""
    m = machine()
    os.kill(m.pids[1], signal.SIGKILL)
    with pytest.raises(MachineError):
        m.start(sleeps).result()
    assert repr(m) == "<kemu.Machine: 2 CPUs, Linux 4.13, stopped by a MachineError>"


def test_handles(machine):
    """A handle names function and CPU, and how the task ended."""
    m = machine()
    runs, returned, raised = m.start(sleeps), m.start(nothing, cpu=1), m.start(fails)
    returned.wait()
    raised.wait()
    assert list(map(repr, (runs, returned, raised))) == [
        "<kemu.Handle: sleeps() on CPU 0, still runs>",
        "<kemu.Handle: nothing() on CPU 1, has returned>",
        "<kemu.Handle: fails() on CPU 0, raised KeyError>"]


def test_trace(machine):
    """A trace says how many events it has, of which CPUs, and how many were overwritten."""
    m = machine(1, trace=True)
    m.run(nothing)
    said = repr(m.trace())
    assert said.startswith("<kemu.Trace: ") and " events of CPUs 0 in " in said
    assert repr(Trace([], {0: 0})) == "<kemu.Trace: no events>"
    overwritten = Trace(m.trace().events, {0: 7})
    assert repr(overwritten).endswith("ms, 7 older ones overwritten>")
