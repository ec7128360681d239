"""After kemu was imported, sys.path gets a folder with another kemu, which cannot be imported."""

import sys
import tempfile
from pathlib import Path

from kemu import Machine


def times(n):
    return 7 * n


with tempfile.TemporaryDirectory() as folder:
    other = Path(folder, "kemu", "__init__.py")
    other.parent.mkdir()
    other.write_text("raise ImportError('the helper took another kemu than the controller')")
    sys.path.insert(0, folder)
    with Machine(2) as m:
        print(m.run(times, 6, cpu=1))
