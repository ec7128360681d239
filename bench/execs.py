"""Exec and migrate: tasks that exec themselves, by number of CPUs, on each kernel.

As many tasks as there are CPUs, and one more.  Before each exec a task goes back to CPU 0,
where there are always several, so that most are better off elsewhere.  An exec is timed
from the call to the first line of what replaces the caller: balancing, a request to a
migration thread or a stopper where the task moves, and the birth of a thread in the process
of the CPU where it goes on.
"""

from __future__ import annotations

from statistics import median

import kemu
from bench.stats import Report, summary, us
from kemu.kernel import sched
from kemu.kernel.own.version import VERSIONS
from kemu.kernel.sched.runqueue import runqueues
from kemu.machine.machine import Machine
from kemu.native import now_ns

TITLE = "Exec and migrate, in microseconds"

CPUS = (2, 4, 8)
WARM_UP = 10

Exec = tuple[int, bool]     # nanoseconds; whether the task went on on another CPU


def chain(left: int, began: int, came_from: int, seen: list[Exec]) -> list[Exec]:
    """A task: exec itself so many times more; what each took."""
    here, now = sched.smp_processor_id(), now_ns()
    if began:
        seen.append((now - began, here != came_from))
    if not left:
        return seen[WARM_UP:]
    sched.set_cpus_allowed_ptr(sched.current(), 1)
    sched.set_cpus_allowed_ptr(sched.current(), (1 << len(runqueues)) - 1)
    kemu.exec(chain, left - 1, now_ns(), sched.smp_processor_id(), seen)


def storm(m: Machine, n: int) -> tuple[list[Exec], float]:
    """Every exec of a storm, and execs per second while all of it blew."""
    began = now_ns()
    handles = [m.start(chain, WARM_UP + n, 0, 0, [], cpu=number % m.cpus)
               for number in range(m.cpus + 1)]
    seen = [one for handle in handles for one in handle.result()]
    return seen, len(handles) * (WARM_UP + n) / ((now_ns() - began) / 1e9)


def run(report: Report, quick: bool) -> None:
    """Kernels take turns, round by round."""
    rounds, n = (2, 30) if quick else (5, 100)
    rows, kept = [], []
    for cpus in CPUS:
        took: dict[tuple[str, bool], list[int]] = {}
        rates: dict[str, list[float]] = {version: [] for version in VERSIONS}
        for _ in range(rounds):
            for version in VERSIONS:
                with Machine(cpus, kernel=version) as m:
                    seen, rate = storm(m, n)
                rates[version].append(rate)
                for ns, moved in seen:
                    took.setdefault((version, moved), []).append(ns)
        for (version, moved), ns in sorted(took.items()):
            s = summary(ns) | {"execs_per_second": median(rates[version])}
            how = "moves" if moved else "stays"
            rows.append([f"{version}, {cpus} CPUs, {how}", str(s["n"]), us(s["min_us"]),
                         us(s["p50_us"]), us(s["p99_us"]), us(s["max_us"]),
                         f"{s['execs_per_second']:.0f}"])
            kept.append(s | {"kernel": version, "cpus": cpus, "moves": moved})
    report.table(["exec", "n", "min", "p50", "p99", "max", "execs/s, all"], rows)
    report.results["execs"] = {"unit": "us", "rows": kept}
