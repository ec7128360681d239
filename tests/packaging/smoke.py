"""Wheels that PyPI would take, each tried as a user would: `make wheel`.

Builds the sdist and, out of it, the wheel; has auditwheel say which hosts the wheel runs on, as a
manylinux tag; has twine check what PyPI's page would show.  Then each Python that is named, and
found, installs the wheel into a new environment, and runs kemu's commands in an empty folder.

Not made: a wheel for musl.  To try one takes a Python for musl, and a wheel that nobody has run is
not published.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).parents[2]
DIST = TREE / "dist"
COMMANDS = (
    ("demo",),
    ("latency", "--duration", "1"),
    ("torture", "--cpus", "2", "--duration", "2"),
)


def run(*command: object, cwd: Path = TREE) -> None:
    """Show the command, and end with its output if it fails."""
    print("$", *command, flush=True)
    done = subprocess.run([*map(str, command)], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nexit status {done.returncode}")


def build() -> Path:
    """The sdist and the wheel, in dist/; returns the wheel with its manylinux tag."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, TREE)
    plain, = DIST.glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", DIST, plain)
    plain.unlink()
    wheel, = DIST.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir())
    return wheel


def smoke(python: str, wheel: Path) -> None:
    """One Python installs the wheel, and runs each command in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        venv, empty = Path(folder, "venv"), Path(folder, "empty")
        empty.mkdir()
        run(python, "-m", "venv", venv)
        run(venv / "bin/pip", "install", "-q", "--disable-pip-version-check", wheel, cwd=empty)
        for command in COMMANDS:
            run(venv / "bin/kemu", *command, cwd=empty)


def main(pythons: list[str]) -> None:
    """Build, then try each Python; one that is not there is named."""
    wheel = build()
    tried = []
    for python in pythons:
        there = subprocess.run([python, "--version"], capture_output=True, check=False) \
            if shutil.which(python) else None
        if there is None or there.returncode:
            print(f"{python}: not found, so the wheel was not tried with it")
            continue
        smoke(python, wheel)
        tried.append(python)
    print(f"{wheel.relative_to(TREE)}: installed and run with {', '.join(tried) or 'no Python'}")


if __name__ == "__main__":
    main(sys.argv[1:])
