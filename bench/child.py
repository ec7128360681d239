"""Run another program to its end, and leave nothing of it behind."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60.0


def output_of(command: Sequence[str]) -> bytes:
    """What a command wrote.  It and its own children are gone on return, also after Ctrl-C."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    return out


def samples_of(command: Sequence[str]) -> list[int]:
    """The 64-bit numbers that a command wrote."""
    numbers = array.array("Q")
    numbers.frombytes(output_of(command))
    return list(numbers)


def python(*args: str) -> list[str]:
    """A command: this Python, in a process of its own."""
    return [sys.executable, *args]
