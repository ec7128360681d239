"""The installation that runs the suite: kemu is found from wherever the user stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SHOW = "import kemu; print(kemu.__file__)"


def test_a_clone_does_not_hide_the_package(tmp_path):
    """`import kemu` finds the package also in a folder that holds a clone named kemu."""
    (tmp_path / "kemu" / "kemu").mkdir(parents=True)
    shown = subprocess.run([sys.executable, "-c", SHOW], cwd=tmp_path, capture_output=True,
                           text=True, check=False)
    assert Path(shown.stdout.strip()).name == "__init__.py", "a folder without it was taken for kemu"
