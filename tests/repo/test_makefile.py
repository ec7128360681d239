"""The Makefile: a .venv belongs to the Python that was asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# It prints its version, as ``python -c`` does, and makes a .venv of itself, as ``-m venv --clear`` does.
PYTHON = """#!/bin/sh
case $1 in
-c) echo {version} ;;
-m) rm -rf $4 && mkdir -p $4/bin && cp $0 $4/bin/python && ln -s /bin/true $4/bin/pip
    touch $4/pyvenv.cfg
    echo {version} >>made ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """What ``make build`` needs, and two Pythons that install nothing."""
    for name in ("Makefile", "pyproject.toml", "setup.cfg", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    for version in ("one", "two"):
        python = tmp_path / version
        python.write_text(PYTHON.format(version=version))
        python.chmod(0o755)
    return tmp_path


def make(clone, python, *goals):
    """Without what a make around this one was given."""
    return subprocess.run(["env", "-u", "MAKEFLAGS", "make", f"PYTHON={python}", *goals], cwd=clone,
                          capture_output=True, text=True, timeout=60, check=False)


def test_another_python_makes_the_venv_anew(clone):
    """The same Python takes what is there."""
    for python in ("./one", "./one", "./two", "./two", "./one"):
        assert make(clone, python, "build").returncode == 0
        assert (clone / ".venv/stamp").exists()
    assert (clone / "made").read_text().split() == ["one", "two", "one"]


def test_a_python_that_is_not_there_costs_nothing(clone):
    """The error names it, and the .venv stays."""
    make(clone, "./one", "build")
    failed = make(clone, "./three", "build")
    assert failed.returncode and "./three" in failed.stderr
    assert (clone / ".venv/stamp").exists()


def test_mypy_checks_for_each_python_of_setup_cfg(clone):
    """From the one that python_requires names to the last of the classifiers."""
    recipe = make(clone, "./one", "-n", "lint").stdout
    setup = (ROOT / "setup.cfg").read_text()
    named = re.findall(r"Python :: (3\.\d+)", setup)
    assert re.search(r"for version in (.*);", recipe).group(1).split() == named
    assert named[0] == re.search(r"python_requires = >=(.*)", setup).group(1)


def test_make_says_that_it_installs(clone):
    """`make demo` in a fresh clone says what it waits for; the second run is silent."""
    said = [make(clone, clone / "one", "build").stdout for _ in range(2)]
    assert ["installing kemu" in text for text in said] == [True, False], said
