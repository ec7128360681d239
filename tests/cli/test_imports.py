"""What is imported, and when: kemu answers at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"loguru", "rich", "asyncio", "multiprocessing", "psutil", "kemu.machine.machine"}


@pytest.mark.parametrize(("code", "heavy"), [
    ("import kemu", set()), ("import kemu.cli", set()),
    ("import kemu; kemu.Machine(1).close()", {"multiprocessing", "psutil", "kemu.machine.machine"})])
def test_imports(code, heavy):
    """Each module that is slow to import waits until something needs it; loguru, until -v."""
    said = subprocess.run([sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
                          capture_output=True, text=True, check=True).stdout
    assert HEAVY & set(said.split()) <= heavy
