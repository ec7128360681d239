"""Unpark, run, acknowledge, park between two CPUs on two cores, beside C and Python's own means.

All contenders make the same four hand-overs on the same two cores, a part of them in
each round, one after the other, so that a noisy minute hits them all.  A ratio is
taken within each round; printed is the median of the rounds, and how far they swung.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from bench import child, host
from bench.stats import Goal, Report, contest, ratio
from kemu import native
from kemu.latency.parking import trips
from kemu.machine.machine import Machine

TITLE = "Round trip: unpark, run, acknowledge, park, in microseconds"

WARM_UP = 100
SECONDS = 60.0
FLOOR_BUDGET_NS = 10_000_000_000

SPIN, FUTEX = "C, spinning", "C, sleeping in futexes"
KEMU, KEMU_SLEEPING = "kemu", "kemu, polling off"
EVENT = "multiprocessing.Event"
PEERS = {EVENT: "mp-event", "multiprocessing.Semaphore": "mp-semaphore", "os.pipe": "pipe",
         "threading.Event, one process": "thread-event"}

Contender = Callable[[int], list[int]]


def contenders(stack: ExitStack, cores: tuple[int, int]) -> dict[str, Contender]:
    """The participants, in the order of a round; each makes n round trips when called."""
    where = [str(core) for core in cores]

    def outside(*command: str) -> Contender:
        return lambda n: child.samples_of([*command, *where, str(WARM_UP), str(n)])

    def inside(poll_us: int) -> Contender:
        m = stack.enter_context(Machine(cpus=2, placement=cores, poll_us=poll_us))
        return lambda n: m.run(trips, WARM_UP, n, timeout=SECONDS)

    def bare(sleeping: bool) -> Contender:
        return lambda n: native.handover(*cores, n, FLOOR_BUDGET_NS, sleeping)

    found = {SPIN: bare(False), KEMU: inside(200), FUTEX: bare(True), KEMU_SLEEPING: inside(0)}
    for name, peer in PEERS.items():
        found[name] = outside(*child.python("-m", "bench.peers", peer))
    return found


def measure(cores: tuple[int, int], rounds: int, n: int) -> dict[str, list[list[int]]]:
    """Every contender's samples, round by round."""
    with ExitStack() as stack:
        entered = contenders(stack, cores)
        took: dict[str, list[list[int]]] = {name: [] for name in entered}
        for _ in range(rounds):
            for name, go in entered.items():
                took[name].append(go(n))
    return took


def goals(middles: dict[str, list[float]]) -> list[Goal]:
    """The ratios that have a goal."""
    wanted = [(KEMU, SPIN, 20, True), (KEMU_SLEEPING, FUTEX, 2, True), (EVENT, KEMU, 15, False)]
    return [ratio(f"{a} / {b}", middles[a], middles[b], limit, at_most)
            for a, b, limit, at_most in wanted]


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    cores = host.two_cores()
    if not cores:
        report.say("  needs two host cores; this process may use one\n")
        return
    took = measure(cores, *((4, 300) if quick else (10, 1000)))
    sums, middles = contest(report, took, KEMU, "kemu")
    report.judge(*goals(middles))
    report.results["roundtrip"] = {"unit": "us", "cores": cores, "contenders": sums,
                                   "round_p50_ns": middles}
