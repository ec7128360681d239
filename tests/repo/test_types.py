"""What a type checker tells a user of kemu."""

from __future__ import annotations

import subprocess
import sys

USES = """
import kemu

def function(number: int, text: str = "") -> bytes:
    return text.encode() * number

def use(m: kemu.Machine) -> None:
    right: bytes = m.run(function, 1)
    right = m.start(function, 1, "x", cpu=1).result(timeout=1.0)
    right = m.run(function, 1, text="x", timeout=1.0)
    m.run(function, "wrong")        # wrong: a str
    m.run(function)                 # wrong: nothing
    m.start(function, 1, "x", 2)    # wrong: one too many
    m.run(3)                        # wrong: not a function
    wrong: str = m.run(function, 1) # wrong: bytes
"""


def test_wrong_arguments_of_a_task_are_type_errors(tmp_path):
    """mypy accepts what a function accepts, and refuses each line that is marked as wrong."""
    file = tmp_path / "uses.py"
    file.write_text(USES)
    said = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), file],
                          capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    refused = {int(line.split(":")[1]) for line in said.splitlines() if ": error: " in line}
    wrong = {number for number, line in enumerate(USES.splitlines(), 1) if "# wrong" in line}
    assert refused == wrong, said
