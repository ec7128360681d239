"""Which host core each emulated CPU gets.

By default the first CPUs get a physical core each.  The next get the siblings of these cores.
If there are more CPUs than that, the cores are given out again from the first.

Locks: none.  Callers: machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from kemu import native
from kemu.errors import UsageError, refuse, shown
from kemu.machine.arguments import check_int

TOPOLOGY = Path("/sys/devices/system/cpu")


def usable_cores() -> list[int]:
    """The host cores this process may use, one thread of each physical core first."""
    mask = psutil.Process().cpu_affinity() or [0]
    order: list[tuple[int, int]] = []
    seen: dict[tuple[str, str], int] = {}
    for core in sorted(mask):
        place = _physical(core)
        order.append((seen.get(place, 0), core))
        seen[place] = seen.get(place, 0) + 1
    return [core for _, core in sorted(order)]


def _physical(core: int) -> tuple[str, str]:
    topology = TOPOLOGY / f"cpu{core}" / "topology"
    try:
        return ((topology / "physical_package_id").read_text().strip(),
                (topology / "core_id").read_text().strip())
    except OSError:
        return "", str(core)        # the host shows no topology: each core counts as a physical one


def place(cpus: int, placement: Sequence[int] | None = None) -> list[int]:
    """The host core of each CPU.  Raises UsageError for a core that this process may not use."""
    check_int("cpus", cpus, 1, native.MAX_CPUS, "a number of CPUs")
    cores = usable_cores()
    if placement is None:
        return [cores[cpu % len(cores)] for cpu in range(cpus)]
    if isinstance(placement, str | bytes) or not isinstance(placement, Sequence):
        raise refuse("placement", placement, "a list with the host core of each CPU")
    if len(placement) != cpus:
        raise UsageError(f"placement names {len(placement)} host cores for {cpus} CPUs")
    for core in placement:
        if isinstance(core, bool) or not isinstance(core, int) or core not in cores:
            raise UsageError(f"placement: host core {shown(core)} is not in this process's affinity "
                             f"mask {sorted(cores)}")
    return list(placement)


def shares(cores: Sequence[int], machines: int, cpus: int) -> list[list[int]]:
    """Which host cores each of so many machines of so many CPUs gets, when they run side by side.

    The cores are dealt out in equal shares; what is left over stays idle.  With fewer cores
    than machines, machines take turns on a core.  The CPUs of a machine share its cores.
    """
    each = max(1, min(cpus, len(cores) // machines))
    found = []
    for number in range(machines):
        mine = [cores[(number * each + i) % len(cores)] for i in range(each)]
        found.append([mine[cpu % each] for cpu in range(cpus)])
    return found
