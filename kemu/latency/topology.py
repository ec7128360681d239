"""How near two host cores are: what decides how long a hand-over takes.

Read from Linux's sysfs (Documentation/admin-guide/cputopology.rst, and
Documentation/ABI/testing/sysfs-devices-system-cpu for the caches).  Where the host shows
no topology, as some virtual machines do not, two cores are merely "other core".

Locks: none.  Callers: sampler, the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from itertools import combinations
from pathlib import Path

from kemu.errors import UsageError
from kemu.machine.placement import TOPOLOGY, usable_cores

MAX_CORES = 4096


class Near(IntEnum):
    """How near two cores are; the nearer, the smaller."""

    SAME_CORE = 0       # both CPUs share one host core: they take turns
    SMT_SIBLING = 1
    SAME_CACHE = 2      # they share a cache of level 2 or above
    SAME_NODE = 3
    OTHER_NODE = 4

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


def parse_cores(text: str) -> list[int]:
    """The cores of a list such as "0,2-4"; "all": every usable one.  Raises UsageError."""
    usable = sorted(usable_cores())
    if text == "all":
        return usable
    cores: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--cpus {text!r}: give host cores as in 0,2-4, or all")
        cores += range(int(first), int(last or first) + 1)[:MAX_CORES]
    if missing := [core for core in cores if core not in usable]:
        raise UsageError(f"--cpus {text!r}: this process may not use host core {missing[0]}; it may "
                         f"use {', '.join(map(str, usable))}")
    if len(set(cores)) != len(cores):
        raise UsageError(f"--cpus {text!r} names a core twice")
    return cores


def pairs(cores: list[int], root: Path = TOPOLOGY) -> list[tuple[int, int]]:
    """All pairs of the cores, the nearest first; a lone core is a pair with itself."""
    if len(cores) == 1:
        return [(cores[0], cores[0])]
    return sorted(combinations(cores, 2), key=lambda pair: (near(pair[0], pair[1], root), pair))


def near(a: int, b: int, root: Path = TOPOLOGY) -> Near:
    """How near core b is to core a."""
    if a == b:
        return Near.SAME_CORE
    here = root / f"cpu{a}"
    if b in _cores_of(here / "topology" / "thread_siblings_list"):
        return Near.SMT_SIBLING
    if any(b in _cores_of(cache / "shared_cpu_list") for cache in here.glob("cache/index*")
           if _read(cache / "level") not in ("", "1")):
        return Near.SAME_CACHE
    nodes = [node for node in root.parent.glob("node/node*") if a in _cores_of(node / "cpulist")]
    if nodes and b not in _cores_of(nodes[0] / "cpulist"):
        return Near.OTHER_NODE
    return Near.SAME_NODE


def in_order_of_nearness(pairs: Iterable[tuple[int, int]], root: Path = TOPOLOGY) -> list[int]:
    """The cores of the pairs, each followed by the nearest one that is left: siblings, cache, node."""
    left = sorted({core for pair in pairs for core in pair})
    order = left[:1]
    left = left[1:]
    while left:
        order.append(min(left, key=lambda core: (near(order[-1], core, root), core)))
        left.remove(order[-1])
    return order


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _cores_of(path: Path) -> set[int]:
    """The cores of one of sysfs's lists; empty where there is no such file."""
    cores: set[int] = set()
    for part in filter(None, _read(path).split(",")):
        first, _, last = part.partition("-")
        cores |= set(range(int(first), int(last or first) + 1))
    return cores
