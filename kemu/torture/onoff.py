"""Take CPUs down and up at random, beside a load, and count.

Linux: kernel/torture.c (torture_onoff, torture_onoff_stats).

    onoff: ONLINE_OK/TRIED:OFFLINE_OK/TRIED ON_MIN,ON_MAX:OFF_MIN,OFF_MAX ON_SUM:OFF_SUM (HZ=1000)

Times there are in jiffies, of 1 ms here.  Each round draws a CPU: one that is online is
taken down, unless it is the last; one that is offline is brought up.  An attempt that
fails, or an audit that finds something, is a failure of the run.

Locks: none.  Callers: run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from kemu.kernel.cpumask import cpu_online, online_cpus
from kemu.kernel.own.version import this_kernel
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.sched.timer import schedule_timeout_uninterruptible
from kemu.native import now_ns
from kemu.torture.worker import Control

HZ = 1000
AUDIT_EVERY = 20            # rounds


@dataclass
class Direction:
    """Up, or down."""

    tried: int = 0
    ok: int = 0
    ns: list[int] = field(default_factory=list)

    def add(self, other: Direction) -> None:
        self.tried += other.tried
        self.ok += other.ok
        self.ns += other.ns

    def jiffies(self) -> tuple[int, int, int]:
        """Shortest, longest, sum."""
        rounded = [round(ns * HZ / 1e9) for ns in self.ns] or [0]
        return min(rounded), max(rounded), round(sum(self.ns) * HZ / 1e9)

    def percentile(self, part: float) -> float:
        """In microseconds; 0 if nothing was measured."""
        ordered = sorted(self.ns)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))] / 1e3 if ordered else 0.0


@dataclass
class Stats:
    """What a run counted."""

    up: Direction = field(default_factory=Direction)
    down: Direction = field(default_factory=Direction)
    failures: list[str] = field(default_factory=list)
    rounds: int = 0

    def add(self, other: Stats) -> None:
        """Count another batch, or another machine, too."""
        self.up.add(other.up)
        self.down.add(other.down)
        self.failures += other.failures
        self.rounds += other.rounds

    @property
    def cycles(self) -> int:
        """How often a CPU went down and one came up."""
        return min(self.up.ok, self.down.ok)

    def line(self) -> str:
        """The kernel's own line."""
        on, off = self.up.jiffies(), self.down.jiffies()
        return (f"onoff: {self.up.ok}/{self.up.tried}:{self.down.ok}/{self.down.tried} "
                f"{on[0]},{on[1]}:{off[0]},{off[1]} {on[2]}:{off[2]} (HZ={HZ})")

    def table(self) -> str:
        """Latencies, a line per direction."""
        lines = [f"{'':<8} {'n':>8} {'p50 us':>10} {'p99 us':>10} {'max us':>10}"]
        for name, one in (("cpu_up", self.up), ("cpu_down", self.down)):
            lines.append(f"{name:<8} {one.ok:>8} {one.percentile(.5):>10.0f} "
                         f"{one.percentile(.99):>10.0f} {one.percentile(1):>10.0f}")
        return "\n".join(lines)


def torture_onoff(seed: int, seconds: float, interval: int = 0) -> Stats:
    """Run a batch of rounds, with that many jiffies between two rounds.  A task; it sleeps.

    It goes on elsewhere if its CPU goes down.
    """
    draw, stats, kernel = random.Random(seed), Stats(), this_kernel()
    until = now_ns() + int(seconds * 1e9)
    while now_ns() < until and not stats.failures:
        cpu = draw.randrange(len(runqueues))
        if online_cpus() == [cpu]:
            if len(runqueues) == 1:
                break
            continue
        _round(cpu, stats)
        if stats.rounds % AUDIT_EVERY == 0:
            stats.failures += kernel.audit()
        if interval:
            schedule_timeout_uninterruptible(interval)
    return stats


def _round(cpu: int, stats: Stats) -> None:
    """Take the CPU down if it is online, otherwise bring it up."""
    online, kernel = cpu_online(cpu), this_kernel()
    direction = stats.down if online else stats.up
    began = now_ns()
    ret = _down(cpu) if online else kernel.cpu_up(cpu)
    direction.tried += 1
    stats.rounds += 1
    if ret:
        stats.failures.append(f"cpu_{'down' if online else 'up'}({cpu}) returned {ret}")
    else:
        direction.ok += 1
        direction.ns.append(now_ns() - began)


def _down(cpu: int) -> int:
    """Take the CPU down; Control.downs is odd meanwhile."""
    downs = Control.on(0).downs
    downs.add(1)
    ret = this_kernel().cpu_down(cpu)
    downs.add(1)
    return ret


def bring_all_up() -> list[str]:
    """Bring every CPU up; what the audit of hotplug then finds.  A task; it sleeps."""
    kernel = this_kernel()
    for cpu in range(len(runqueues)):
        if not cpu_online(cpu):
            kernel.cpu_up(cpu)
    return kernel.audit()
