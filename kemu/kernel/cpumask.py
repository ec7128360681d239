"""Sets of CPUs: a mask is an int with a bit for each CPU.

Linux: include/linux/cpumask.h.  Not modelled: masks of more than one word.

    header.possible_mask   <- the CPUs that the machine has: before power-on
    header.online_mask     <- the CPUs that run tasks: cpu (hotplug), v2_6.cpu
    header.active_mask     <- the CPUs that user tasks may be placed on: sched_cpu, v2_6.cpu

Locks: none; a caller that needs the masks to stay as they are holds the hotplug lock.
"""

from __future__ import annotations

from kemu.errors import UsageError
from kemu.kernel.own.system import system


def check_cpu(cpu: int) -> None:
    """Raise UsageError for a CPU that the machine does not have."""
    if not is_cpu(cpu):
        raise UsageError(f"CPU {cpu!r}: this machine has CPUs 0 to {system.nr_cpus - 1}")


def is_cpu(cpu: object) -> bool:
    """Whether the machine has a CPU of that number; False for what is not an int."""
    return isinstance(cpu, int) and not isinstance(cpu, bool) and 0 <= cpu < system.nr_cpus


def cpu_online(cpu: int) -> bool:
    return 0 <= cpu < system.nr_cpus and system.header.online_mask.test_bit(cpu)


def cpu_active(cpu: int) -> bool:
    return 0 <= cpu < system.nr_cpus and system.header.active_mask.test_bit(cpu)


def cpumask_of(cpu: int) -> int:
    return 1 << cpu


def for_each_cpu(mask: int) -> list[int]:
    """The CPUs of a mask, lowest first."""
    return [cpu for cpu in range(system.nr_cpus) if mask >> cpu & 1]


def online_cpus() -> list[int]:
    """The CPUs that are online, lowest first."""
    return for_each_cpu(system.header.online_mask.load())
