"""kemu's console script, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KEMU = Path(sys.executable).with_name("kemu")
PLAIN = {name: value for name, value in os.environ.items()
         if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM")}


def kemu(*args: object, **more: object) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of this process's terminal; standard output and error as text."""
    return subprocess.run([str(KEMU), *map(str, args)], text=True, env=PLAIN, stdin=subprocess.DEVNULL,
                          check=False, **{"capture_output": True} | more)


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell that finds kemu, in this folder."""
    path = f"{KEMU.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], text=True, capture_output=True,
                          cwd=cwd, env=PLAIN | {"PATH": path}, check=False)
