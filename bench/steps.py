"""Where the time of one round trip goes: the time between the milestones in its trace.

The trace of many trips is cut at kthread_unpark(); each milestone is the first such
event in its half of the trip (before, after kthread_park()).  Trips differ: a task that
has not fallen asleep yet needs no switch.  Shown is the way that most trips took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from bench import host
from bench.stats import Report, percentile, us
from kemu.latency.parking import WORKER, trips
from kemu.machine.machine import Machine
from kemu.trace import events as ev
from kemu.trace import reader
from kemu.trace.reader import Event

TITLE = "Steps of one round trip, in microseconds"

WORKER_NAME = WORKER % 1
CALLER_NAME = trips.__name__
WARM_UP = 20
BATCH = 120                 # trips whose events fit into the rings
SECONDS = 60.0

Key = tuple[int, int, str]  # which CPU, which event, about which task

UNPARK, PARK = (0, ev.KTHREAD_UNPARK, WORKER_NAME), (0, ev.KTHREAD_PARK, WORKER_NAME)
TO_WORKER: list[tuple[Key, str]] = [
    ((0, ev.SCHED_WAKING, WORKER_NAME), "sched_waking worker"),
    ((0, ev.SCHED_WAKEUP, WORKER_NAME), "sched_wakeup worker"),
    ((1, ev.SCHED_SWITCH, WORKER_NAME), "sched_switch to worker"),
]
TO_CALLER: list[tuple[Key, str]] = [
    ((1, ev.SCHED_WAKING, CALLER_NAME), "sched_waking caller"),
    ((1, ev.SCHED_WAKEUP, CALLER_NAME), "sched_wakeup caller"),
    ((0, ev.SCHED_SWITCH, CALLER_NAME), "sched_switch to caller"),
]
HALVES: list[list[tuple[Key, str]]] = [
    [(UNPARK, "kthread_unpark() called"), ((0, ev.KTHREAD_BIND, WORKER_NAME), "kthread_bind"),
     *TO_WORKER, ((1, ev.KTHREAD_PARKED, "leave"), "kthread_parkme leave"), *TO_CALLER],
    [(PARK, "kthread_park() called"), *TO_WORKER,
     ((1, ev.KTHREAD_PARKED, "enter"), "kthread_parkme enter"), *TO_CALLER],
]
ASLEEP: list[tuple[Key, str]] = [
    ((0, ev.SCHED_SWITCH, "swapper/0"), "sched_switch: the caller sleeps"),
    ((1, ev.SCHED_SWITCH, "swapper/1"), "sched_switch: the worker sleeps"),
]
END = "kthread_park() returned"

Step = tuple[int, int, str]     # which half, CPU, what
Trip = dict[Step, int]          # nanoseconds since kthread_unpark()


def _key(e: Event) -> Key:
    if e.id == ev.KTHREAD_PARKED:
        return e.cpu, e.id, "enter" if e.a else "leave"
    return e.cpu, e.id, e.subject


def cut(events: list[Event]) -> Iterator[list[Event]]:
    """Each trip's events, and the next trip's first."""
    starts = [i for i, e in enumerate(events) if _key(e) == UNPARK]
    for first, last in pairwise(starts):
        yield events[first:last + 1]


def milestones(events: list[Event]) -> Trip:
    """When the trip passed which milestone."""
    seen: dict[tuple[int, Key], int] = {}
    half = 0
    for e in events[:-1]:
        half = 1 if _key(e) == PARK else half
        seen.setdefault((half, _key(e)), e.ns - events[0].ns)
    trip = {(half, key[0], what): seen[half, key]
            for half, wanted in enumerate(HALVES) for key, what in wanted + ASLEEP
            if (half, key) in seen}
    return trip | {(1, 0, END): events[-1].ns - events[0].ns}


def measure(cores: tuple[int, int], rounds: int) -> tuple[list[Trip], list[int], list[int]]:
    """Traced trips; what trips took without tracing, and with; by turns."""
    found: list[Trip] = []
    plain: list[int] = []
    traced: list[int] = []
    with Machine(cpus=2, placement=cores) as m:
        for _ in range(rounds):
            plain += m.run(trips, WARM_UP, BATCH, timeout=SECONDS)
            since = reader.heads(m.memory)
            m.trace_on()
            traced += m.run(trips, WARM_UP, BATCH, timeout=SECONDS)
            m.trace_off()
            events = reader.read(m.memory, since).events
            found += [milestones(part) for part in list(cut(events))[WARM_UP:WARM_UP + BATCH - 1]]
    return found, plain, traced


def common_way(found: list[Trip]) -> tuple[list[Trip], list[Step]]:
    """The trips that passed the milestones that most trips passed, and these in order."""
    path = {what for half in HALVES for _, what in half} | {END}

    def way_of(trip: Trip) -> frozenset[Step]:
        return frozenset(step for step in trip if step[2] in path)

    common, _ = Counter(map(way_of, found)).most_common(1)[0]
    way = [trip for trip in found if way_of(trip) == common]
    return way, sorted(common, key=lambda step: median(trip[step] for trip in way))


def each_step(way: list[Trip], order: list[Step]) -> list[dict[str, Any]]:
    """When each milestone was passed, and what it took from the one before."""
    rows = []
    for before, step in zip([order[0], *order], order, strict=False):
        took = sorted((trip[step] - trip[before]) / 1e3 for trip in way)
        rows.append({"milestone": step[2], "cpu": step[1],
                     "at_us": median(trip[step] for trip in way) / 1e3,
                     "p50_us": median(took), "p99_us": percentile(took, 99)})
    return rows


def meanwhile(way: list[Trip]) -> list[list[str]]:
    """When, and how often, the two fell asleep."""
    steps = [(half, key[0], what) for half in (0, 1) for key, what in ASLEEP]
    times = {step: [trip[step] / 1e3 for trip in way if step in trip] for step in steps}
    return [[step[2], str(step[1]), us(median(at)), f"{len(at) / len(way):.0%}"]
            for step, at in times.items() if at]


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    cores = host.two_cores()
    if not cores:
        report.say("  needs two host cores; this process may use one\n")
        return
    found, plain, traced = measure(cores, 4 if quick else 12)
    way, order = common_way(found)
    rows = each_step(way, order)
    report.table(["milestone", "CPU", "at", "step p50", "step p99"], [
        [row["milestone"], str(row["cpu"]), us(row["at_us"]),
         *([us(row["p50_us"]), us(row["p99_us"])] if number else ["-", "-"])]
        for number, row in enumerate(rows)])
    report.table(["meanwhile", "CPU", "at", "of trips"], meanwhile(way))
    before, after = median(plain) / 1e3, median(traced) / 1e3
    report.say(f"  {len(way)} of {len(found)} trips went this way.  Tracing adds {after - before:.1f} us: "
               f"p50 {before:.1f} us without, {after:.1f} us with\n")
    report.results["steps"] = {"steps": rows, "trips": len(found), "this_way": len(way),
                               "p50_plain_us": before, "p50_traced_us": after}
