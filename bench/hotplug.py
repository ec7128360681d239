"""A CPU taken down and brought up; and parking threads beside ending and creating them.

A cycle is cpu_down() and cpu_up() of the last CPU, by a task on CPU 0.  Every machine has
the standard threads of a CPU (migration, cpuhp, ksoftirqd, watchdog); some have more,
registered in the same way, which a cycle parks and unparks.

The second part is what parking is for.  The same threads, on CPU 1: either all are
parked and unparked, or all are stopped, and created and unparked anew.  Either cycle ends
when each has run and said so.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import starmap
from statistics import median
from typing import Any

from bench.stats import Goal, Report, contest, ratio, summary, us
from kemu.latency.parking import WORKER, worker
from kemu import native
from kemu.kernel import kthread
from kemu.kernel.sched.completion import Completion, completion_on_stack, wait_for_completion
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.smpboot import SmpHotplugThread, smpboot_register_percpu_thread
from kemu.machine.machine import Machine
from kemu.memory.views import Task

TITLE = "Hotplug, in microseconds"

SECONDS = 60.0
WARM_UP = 3
THREADS = 64                                    # parked, or stopped and created
SIZES = [(2, 0), (4, 0), (8, 0), (2, 8), (2, THREADS)]      # CPUs, threads more on each
PARK, CREATE = "park all, unpark all", "stop all, create all, unpark all"


def has_work(_: int) -> bool:
    """An additional thread sleeps whenever it is not parked."""
    return False


def never_called(_: int) -> None:
    """It has nothing to do."""


def register(more: int) -> None:
    """A task: that many additional threads on each CPU."""
    for number in range(more):
        smpboot_register_percpu_thread(SmpHotplugThread(f"more{number}/%u", has_work, never_called))


def cycles(cpu: int, n: int) -> list[tuple[int, int]]:
    """A task on CPU 0: nanoseconds of each of n times down and up, after some that do not count."""
    took = []
    now = native.now_ns
    for _ in range(WARM_UP + n):
        began = now()
        down = cpu_down(cpu)
        between = now()
        up = cpu_up(cpu)
        took.append((between - began, now() - between))
        if down or up:
            raise RuntimeError(f"cpu_down({cpu}) returned {down}, cpu_up({cpu}) {up}")
    return took[WARM_UP:]


@dataclass(frozen=True)
class Size:
    """A machine to take a CPU of up and down."""

    cpus: int
    more: int

    def __str__(self) -> str:
        return f"{self.cpus} CPUs" + (f", {self.more} threads more" if self.more else "")


def measure(rounds: int, n: int) -> dict[Size, list[list[tuple[int, int]]]]:
    """Down and up on every machine, round by round."""
    sizes = list(starmap(Size, SIZES))
    with ExitStack() as stack:
        machines = {}
        for size in sizes:
            machines[size] = stack.enter_context(Machine(cpus=size.cpus))
            machines[size].run(register, size.more, timeout=SECONDS)
        took: dict[Size, list[list[tuple[int, int]]]] = {size: [] for size in sizes}
        for _ in range(rounds):
            for size, m in machines.items():
                took[size].append(m.run(cycles, size.cpus - 1, n, timeout=SECONDS))
    return took


def create_all(acknowledged: Completion) -> list[Task]:
    """The threads, unparked; each acknowledges.  May sleep."""
    threads = [kthread.kthread_create_on_cpu(worker, acknowledged, 1, WORKER) for _ in range(THREADS)]
    unpark_all(threads, acknowledged)
    return threads


def unpark_all(threads: list[Task], acknowledged: Completion) -> None:
    """Returns when each has run.  May sleep."""
    for k in threads:
        kthread.kthread_unpark(k)
    for _ in threads:
        wait_for_completion(acknowledged)


def park_all(threads: list[Task]) -> None:
    for k in threads:
        kthread.kthread_park(k)


def stop_all(threads: list[Task]) -> None:
    for k in threads:
        kthread.kthread_stop(k)


def both_ways(rounds: int, n: int) -> dict[str, list[list[int]]]:
    """A task on CPU 0: nanoseconds of n cycles of each kind, round by round, after one round more."""
    took: dict[str, list[list[int]]] = {PARK: [], CREATE: []}
    now = native.now_ns
    with completion_on_stack() as acknowledged:
        threads = create_all(acknowledged)
        for _ in range(1 + rounds):
            for part in took.values():
                part.append([])
            for _ in range(n):
                began = now()
                park_all(threads)
                unpark_all(threads, acknowledged)
                took[PARK][-1].append(now() - began)
            for _ in range(n):
                began = now()
                stop_all(threads)
                threads = create_all(acknowledged)
                took[CREATE][-1].append(now() - began)
        stop_all(threads)
    return {name: part[1:] for name, part in took.items()}


def show(report: Report, took: dict[Size, list[list[tuple[int, int]]]]) -> dict[str, Any]:
    """Print down and up; the figures to keep."""
    rows, kept = [], {}
    for size, rounds in took.items():
        flat = [pair for part in rounds for pair in part]
        s = summary([down + up for down, up in flat])
        middles = [median(down + up for down, up in part) for part in rounds]
        down, up = (median(pair[way] for pair in flat) / 1e3 for way in (0, 1))
        rows.append([str(size), f"{s['n']}", us(s["min_us"]), us(s["p50_us"]), us(s["p99_us"]),
                     us(s["max_us"]), us(down), us(up),
                     f"{us(min(middles) / 1e3)} to {us(max(middles) / 1e3)}"])
        kept[str(size)] = s | {"cpus": size.cpus, "more_threads": size.more, "down_p50_us": down,
                               "up_p50_us": up, "round_p50_ns": middles}
    report.table(["cpu_down, cpu_up", "n", "min", "p50", "p99", "max", "down p50", "up p50",
                  "p50 by round"], rows)
    return kept


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    kept = show(report, measure(*((3, 15) if quick else (10, 50))))
    with Machine(cpus=2) as m:
        took = m.run(both_ways, *((3, 3) if quick else (10, 4)), timeout=SECONDS)
    report.say(f"  {THREADS} threads on CPU 1:")
    sums, middles = contest(report, took, PARK, "parking")
    first = kept[str(Size(*SIZES[0]))]
    swing = [ns / 1e6 for ns in first["round_p50_ns"]]
    report.judge(
        Goal(f"down and up, {Size(*SIZES[0])}", first["p50_us"] / 1e3, 1, unit="ms",
             low=min(swing), high=max(swing)),
        ratio(f"stop, create {THREADS} / park, unpark", middles[CREATE], middles[PARK], 5,
              at_most=False))
    report.results["hotplug"] = {"unit": "us", "cycles": kept, "threads": THREADS,
                                 "thread_cycles": sums, "round_p50_ns": middles}
