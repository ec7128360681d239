"""A machine that stops is reported, even if the user does not ask."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from kemu import Machine
from kemu.errors import KernelBug, MachineError, TaskOops, TaskTimeout, UsageError
from kemu.kernel import kthread
from kemu.kernel.panic import BUG
from kemu.machine.handle import Handle
from kemu.memory.struct import PerCPU, Word


def raises(_):
    raise KeyError("in a kernel thread")


def start_and_return(thread):
    kthread.kthread_run(thread, None, "k")


def stopped(m):
    """Wait until the kernel has panicked, without a call that reports it."""
    while not m._header.report_len.load():
        pass


def test_end_of_the_block():
    """It raises an error that no call has raised yet; a report does not count as a call."""
    with pytest.raises(TaskOops, match="in a kernel thread"), Machine(2) as m:
        m.run(start_and_return, raises)
        while not m._inbox.failure:
            pass
        assert m.ask_stacks() == []


def test_another_error_goes_first():
    """What the block raises is raised."""
    with pytest.raises(ZeroDivisionError), Machine(2) as m:
        m.run(start_and_return, raises)
        stopped(m)
        raise ZeroDivisionError


def test_told_once():
    """An error that a call has raised is not raised again."""
    with Machine(2) as m, pytest.raises(KernelBug):
        m.run(BUG, "told")


def test_dead_cpu():
    """Likewise for a process that died."""
    with pytest.raises(MachineError, match="died by signal 9"), Machine(2) as m:
        os.kill(m.pids[1], signal.SIGKILL)
        m._power.closed.wait(10)


MODULE = """
from kemu.kernel import kthread

def raises(_):
    raise KeyError

def start():
    kthread.kthread_run(raises, None, "k")

def test_it(kemu_machine):
    m = kemu_machine(2)
    m.start(start)          # run() would raise, if the oops comes before its result
    while not m._header.report_len.load():
        pass
"""


def test_fixture(tmp_path):
    """A test that took no notice passes, and there is an error at its end."""
    (tmp_path / "test_theirs.py").write_text(MODULE)
    # By its name and not by its entry point: kemu may be installed, or not.
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "kemu.pytest_plugin", "--rootdir",
                           tmp_path, "-c", "/dev/null", tmp_path], check=False, capture_output=True,
                          text=True, timeout=60, cwd=tmp_path,
                          env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert "1 passed, 1 error" in done.stdout, done
    assert "Oops: KeyError left a kernel thread" in done.stdout


class Z(PerCPU):
    n = Word()


def assign():
    Z.on(0).n = 3


def test_assignment(machine):
    """A field of a structure is a place: what is assigned would be seen by nobody."""
    with pytest.raises(UsageError, match=r"n\.store\(value\)"):
        machine(1).run(assign)


class Late(Future):
    """Its result comes between the end of the wait and the look whether it is there."""

    def exception(self, timeout=None):
        if not self.done():
            self.set_result(42)
            raise TimeoutError
        return super().exception(timeout)


def test_result_at_the_last_moment(machine):
    """It is the result."""
    assert Handle(Late(), "late", machine(1)).result(1) == 42


def test_timeout_of_the_tasks_own(machine):
    """Is not one of ours."""
    m = machine(1)

    def times_out():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own") as raised:
        m.run(times_out, timeout=30)
    assert not isinstance(raised.value, TaskTimeout)


def test_a_wait_keeps_its_mark(machine):
    """A result that is there already can be taken in a handler, and the rule still holds."""
    m = machine(1)
    done = m.start(int)
    assert done.wait(30)
    m.waiting[me := threading.get_ident()] = None
    assert done.result() == 0
    assert me in m.waiting
