"""What the CPUs of a machine load before their first task: overrides, and one object more.

The controller publishes both in one pickle.  This is the only route by which an override
gets into a CPU process.  Because the pickle is one, the function that an override replaces
and the function that the carried object calls are the same object in each CPU process, also
when they travel by value.

    controller      publish(overrides, carried), before power-on
    CPU process     load(), before its first task
    a task          carried() is the process's copy of the object

Linux: none; kemu's own.
Locks: none.  Callers: boot, processor; harness.referee asks for the race with carried().
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from kemu.machine import override
from kemu.machine.override import Override
from kemu.memory import functions

_carried: Any = None


def dumps(overrides: Sequence[Override], carried: object) -> bytes:
    """The pickle of both.  Raises UsageError for what cannot travel.  In the controller."""
    return functions.dumps((list(overrides), carried))


def load(data: bytes) -> None:
    """Put the overrides in place and keep the object.  A CPU process calls it before its first task."""
    global _carried
    overrides, _carried = pickle.loads(data)
    for wanted in overrides:
        override.install(wanted)


def carried() -> Any:
    """The object that the machine was booted with; None if there is none.  Called in a CPU process."""
    return _carried
