"""A test that hangs, under each method of pytest-timeout: the chain of waits is what it shows."""

from __future__ import annotations

import pytest

from tests.machine.test_pytest_modes import run_theirs

MODULE = '''\
import kemu
from kemu.kernel.sched.completion import Completion, wait_for_completion


class Post(kemu.PerCPU):
    letter = kemu.Embedded(Completion)


def waits():
    wait_for_completion(Post.on(0).letter)      # for ever


def test_hang(kemu_machine):
    kemu_machine(cpus=1).run(waits)
'''


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_method(tmp_path, method):
    """The test fails by itself, before its time is over, and the session goes on."""
    (tmp_path / "test_theirs.py").write_text(MODULE)
    told = run_theirs(tmp_path, "--tb=short", "--timeout=40", f"--timeout-method={method}").stdout
    assert "1 failed" in told and "Timeout" not in told
    assert ") waits for Post.on(0).letter; kemu does not know which task is to complete it" in told
    assert "wait_for_completion(Post.on(0).letter)      # for ever" in told
