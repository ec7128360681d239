"""Which host core each emulated CPU gets.

By default the first CPUs get a physical core each.  The next get the siblings of these cores.
If there are more CPUs than that, the cores are given out again from the first.  Cores that no
other machine of this user holds come before all others (cores.py).

Linux: none; kemu's own.
Locks: none of its own.  Callers: machine, harness, torture, latency, cli.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from kemu import native
from kemu.errors import UsageError, refuse, shown
from kemu.machine.arguments import check_int
from kemu.machine.cores import Cores

TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Layout:
    """Which CPUs of a machine share a host core: those with the same number.

    The machine chooses the cores.  With fewer cores than numbers, numbers share a core too.
    """

    numbers: tuple[int, ...]

    @staticmethod
    def of(cpus: int, cores: int) -> Layout:
        """So many CPUs, dealt out to so many cores."""
        return Layout(tuple(cpu % cores for cpu in range(cpus)))

    def on(self, cores: Sequence[int]) -> list[int]:
        """The core of each CPU, if the machine has these."""
        ranks = {number: rank for rank, number in enumerate(dict.fromkeys(self.numbers))}
        return [cores[ranks[number] % len(cores)] for number in self.numbers]

    def within(self, cores: int) -> Layout:
        """The same on at most so many cores."""
        return Layout(tuple(self.on(range(cores))))

    def cores(self) -> int:
        """How many cores it needs, for no two numbers to share one."""
        return len(set(self.numbers))


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


def place(cpus: int, placement: Sequence[int] | Layout | None, marks: Cores) -> list[int]:
    """The host core of each CPU, marked as taken.

    placement: the host cores themselves, or which CPUs share a core that the machine chooses.
    None: no CPUs share a core while there are enough cores.  Raises UsageError for a core that
    this process may not use.
    """
    check_int("cpus", cpus, 1, native.MAX_CPUS, "a number of CPUs")
    usable = usable_cores()
    if placement is None:
        placement = Layout.of(cpus, cpus)
    if isinstance(placement, Layout):
        _check_length(cpus, placement.numbers)
        mine = marks.take(usable, min(placement.cores(), len(usable)))
        return placement.on(mine)
    cores = _check_cores(cpus, placement, usable)
    marks.mark(cores)
    return cores


def _check_cores(cpus: int, placement: object, usable: Sequence[int]) -> list[int]:
    """The host cores that a user names.  Raises UsageError."""
    if isinstance(placement, str | bytes) or not isinstance(placement, Sequence):
        raise refuse("placement", placement, "a list with the host core of each CPU")
    _check_length(cpus, placement)
    for core in placement:
        if isinstance(core, bool) or not isinstance(core, int) or core not in usable:
            raise UsageError(f"placement: host core {shown(core)} is not in this process's affinity "
                             f"mask {sorted(usable)}")
    return list(placement)


def _check_length(cpus: int, cores: Sequence[int]) -> None:
    if len(cores) != cpus:
        raise UsageError(f"placement names {len(cores)} host cores for {cpus} CPUs")


def share(machines: int, cpus: int) -> int:
    """How many host cores each of so many machines of so many CPUs gets, when they run side by side.

    The cores are dealt out in equal shares; what is left over stays idle.  With fewer cores than
    machines, machines share a core.  The CPUs of a machine share its cores.
    """
    return max(1, min(cpus, len(usable_cores()) // machines))


def machines_that_fit(cores: int) -> int:
    """How many machines that take so many host cores run side by side without sharing; 1 at least."""
    return max(1, len(usable_cores()) // cores)
