"""Run a function in a fresh interpreter, so that a crash fails a test and not the run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 100      # seconds; only a hang takes so long


def run(function: Callable[..., None], *args: object) -> None:
    """The function must return.  It is named by its module, and its arguments by their repr."""
    code = (f"import faulthandler; faulthandler.dump_traceback_later({PATIENCE - 10}, exit=True)\n"
            f"from {function.__module__} import {function.__name__} as function\n"
            f"function(*{args!r})")
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], cwd=ROOT,
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
