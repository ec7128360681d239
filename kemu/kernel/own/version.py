"""Which Linux a machine runs, and the functions that differ from version to version.

kemu's own (Linux: include/linux/version.h).  The scheduler, kthreads and their neighbours
are the same in all versions.  A version has its own hotplug and its own migration.

    header.era   <- the version's number in VERSIONS: by the controller, before power-on

Locks: none.  Callers: machine, harness, torture, cli, exec, hotplug, v2_6; the CPU
processes, as they start.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from kemu.errors import UsageError, refuse
from kemu.kernel.own import wiring
from kemu.kernel.own.system import system
from kemu.memory.views import Task

DEFAULT = "4.13"
VERSIONS = {DEFAULT: "kemu.kernel.init", "2.6.6": "kemu.kernel.v2_6.init"}


@dataclass(frozen=True)
class Kernel:
    """A version: the functions that differ."""

    version: str
    start_kernel: Callable[[float, float], None]    # boot, as CPU 0's first task
    start_secondary: Callable[[int], None]          # a CPU that was powered on, to its idle loop
    idle_dead: Callable[[int], None]                # the idle loop found its CPU offline
    migrate_running: Callable[[Task, int], None]    # move a task that runs
    sched_exec: Callable[[], None]                  # balance the current task, as it execs
    cpu_up: Callable[[int], int]
    cpu_down: Callable[[int], int]
    audit: Callable[[], list[str]]                  # the invariants of hotplug at rest


def version_number(version: str) -> int:
    """The number of a version in header.era.  Raises UsageError for an unknown version."""
    if not isinstance(version, str) or version not in VERSIONS:
        raise refuse("kernel", version, f"one of {', '.join(map(repr, VERSIONS))}")
    return list(VERSIONS).index(version)


def kernel_named(version: str) -> Kernel:
    """A version's functions.  Raises UsageError for one there is not."""
    version_number(version)
    kernel: Kernel = importlib.import_module(VERSIONS[version]).KERNEL
    return kernel


def this_version() -> str:
    """The version of the machine that this process is a CPU of."""
    era: int = system.header.era.load()
    return list(VERSIONS)[era]


def this_kernel() -> Kernel:
    return kernel_named(this_version())


def install(kernel: Kernel) -> None:
    """Have the scheduler call this version.  Once per CPU process, before its first task."""
    wiring.offline_idle.bind(kernel.idle_dead)
    wiring.forced_migration.bind(kernel.migrate_running)


def only_in(version: str, where: str) -> None:
    """Raise UsageError if the machine runs another version; where: the functions to call there."""
    if this_version() != version:
        raise UsageError(f"this is {version}'s, and the machine runs {this_version()}: call {where}")
