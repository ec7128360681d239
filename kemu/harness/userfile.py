"""Load a user's file: a race, a workload.

The module is entered in sys.modules, so that its functions are known to travel by value, and
its folder in sys.path, as for a script, so that it can import its neighbours.

Locks: none.  Callers: kemu.races; the command line.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from kemu.errors import UsageError


def load_file(path: Path) -> ModuleType:
    """The file as a module.  Raises UsageError if there is none, or if it raises."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: a Python file is expected, whose name ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
