"""Checks of what users pass.  A value that is not accepted raises a UsageError that says what is.

A bool is not a number here, although it is an int in Python, and a text is not a sequence.

Locks: none.  Callers: machine, handle, placement, harness, cli.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kemu import native
from kemu.errors import UsageError, refuse, shown
from kemu.machine.override import Override

MAX_SECONDS = 1e9           # what Python's own waits take on every host
MAX_POLL_US = 1_000_000
MIN_HANG_AFTER = 0.01
MIN_WATCHDOG = 0.01         # it samples five times in that, a tick apart at least
MAX_WATCHDOG = 1e6
MAX_MEMORY_MIB = 1 << 16
TASKS_PER_CPU = 5           # swapper/N, migration/N, cpuhp/N, ksoftirqd/N, watchdog/N
TASKS_MORE = 3              # slots for the task that boots, and for tasks of the user


def check_int(name: str, value: object, least: int, most: int, what: str) -> int:
    """Return the value, which must be an int of that range.  what: what it counts or names."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse(name, value, f"{what}, {least} to {most}")
    return value


def check_seconds(name: str, value: object) -> float | None:
    """Return a limit of time: a number of seconds, or None for no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise refuse(name, value, "a number of seconds, 0 or more, or None for no limit")
    return None if value > MAX_SECONDS else float(value)


def check_hang_after(value: object) -> float:
    """Seconds of stillness after which a wait is said to hang; 0: never."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) \
            or (value and not MIN_HANG_AFTER <= value <= MAX_SECONDS):
        raise refuse("hang_after", value, f"a number of seconds, {MIN_HANG_AFTER} or more, or 0 or None "
                     "to let run() wait without end")
    return float(value)


def check_flag(name: str, value: object) -> bool:
    """Return the value, which must be True or False."""
    if not isinstance(value, bool):
        raise refuse(name, value, "True or False")
    return value


def check_tasks(value: object, cpus: int) -> int:
    """Return how many task slots the machine has; by default some hundred."""
    if value is None:
        return 512 + 128 * cpus
    return check_int("tasks", value, TASKS_MORE + TASKS_PER_CPU * cpus, native.MAX_TASKS,
                     f"a number of tasks, of which the kernel itself needs some on {cpus} CPUs")


def check_watchdog(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) \
            or (value and not MIN_WATCHDOG <= value <= MAX_WATCHDOG):
        raise refuse(name, value, f"a number of seconds, {MIN_WATCHDOG} to "
                     f"{MAX_WATCHDOG:.0f}, or 0 for no {name}")
    return float(value)


def check_hung_task(value: object, watchdog: float) -> float:
    """Return the limit in seconds; 0: none."""
    limit = check_watchdog("hung_task", value)
    if limit and not 0 < watchdog <= limit:
        raise UsageError(f"hung_task={limit:g} was given with watchdog={watchdog:g}: the watchdogs show that "
                         f"the CPUs run, so give a watchdog= of more than 0 and at most {limit:g} seconds")
    return limit


def check_console(value: Any) -> None:
    if value is not None and not callable(value):
        raise refuse("console", value, "a function that takes a line, such as a list's append; "
                     "for a file: lambda line: print(line, file=file)")


def check_overrides(value: object) -> list[Override]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) \
            or not all(isinstance(one, Override) for one in value):
        raise refuse("overrides", value, "a list of what kemu.machine.override.make_override() gives")
    return list(value)


def check_callable(value: object) -> None:
    if not callable(value):
        raise UsageError(f"{shown(value)} is not callable: run() and start() take a function, "
                         "then its arguments")
