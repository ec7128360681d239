"""Functions of test modules run as tasks, however pytest imports the module."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULE = '''\
"""A user's test module: everything it defines is its own."""

import pytest

from kemu import Machine, PerCPU, Word

LIMIT = 40


class Shared(PerCPU):
    count = Word()


class Odd(Exception):
    pass


def helper(n):
    return n + LIMIT


def task(n):
    Shared.on(1).count.add(1)
    return helper(n)


def raises():
    raise Odd("odd")


@pytest.fixture
def m():
    with Machine(2) as machine:
        yield machine


def test_value(m):
    assert m.run(task, 2, cpu=1) == 42


def test_exception(m):
    with pytest.raises(Odd):
        m.run(raises)


def test_shared(m):
    for cpu in (0, 1):
        m.run(task, 0, cpu=cpu)
    with m.looking():
        assert Shared.on(1).count.load() == 2


class TestMethods:
    def test_lambda(self, m):
        assert m.run(lambda: helper(2)) == 42
'''


@pytest.fixture
def suite(tmp_path):
    """A folder with the user's test module."""
    directory = tmp_path / "suite"
    directory.mkdir()
    (directory / "test_theirs.py").write_text(MODULE)
    return directory


def run_theirs(suite, *options):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", suite.parent,
         "-c", "/dev/null", *options, suite],
        check=False, capture_output=True, text=True, timeout=60, cwd=suite.parent)


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
@pytest.mark.parametrize("package", [False, True], ids=["module", "package"])
def test_import_mode(suite, mode, package):
    """Under every import mode, in a package or not."""
    if package:
        (suite / "__init__.py").touch()
    result = run_theirs(suite, f"--import-mode={mode}")
    assert result.returncode == 0, result.stdout


def test_under_xdist(suite):
    """In two workers at once, each with a helper of its own."""
    result = run_theirs(suite, "-n", "2")
    assert result.returncode == 0, result.stdout
