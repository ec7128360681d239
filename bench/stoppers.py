"""A work on another CPU's stopper, and the whole machine stopped, beside the host kernel's stopper.

The host's shows through sched_setaffinity(): a thread that runs on a core it may no longer
use is moved by that core's stopper, while the call waits.  There and back is two of
those, and half of it is a sample.  It is more than a work that does nothing: the
stopper preempts the caller, who then starts on the other core.  kemu's caller
sleeps while the other CPU's stopper runs the work, and is woken from there.

All take turns in rounds.  Polling or not, a CPU's stopper is a thread that sleeps between
works; what differs is whether its CPU does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench import host
from bench.stats import Report, contest, ratio
from kemu import native
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.stop_machine import stop_machine
from kemu.machine.machine import Machine
from kemu.machine.placement import place

TITLE = "Stoppers: a work that does nothing, in microseconds"

WARM_UP = 50
SECONDS = 60.0

HOST = "host, one migration"
ONE, ONE_ASLEEP = "kemu, stop_one_cpu", "the same, polling off"
WHOLE = "kemu, stop_machine, {} CPUs"

Contender = Callable[[int], list[int]]


def nothing(_: Any) -> int:
    """The work."""
    return 0


def one(n: int) -> list[int]:
    """A task on CPU 0: nanoseconds of each of n works on CPU 1."""
    return timed(lambda: stop_one_cpu(1, nothing), n)


def whole(n: int) -> list[int]:
    """A task on CPU 0: nanoseconds of each of n stops of all CPUs."""
    return timed(lambda: stop_machine(nothing), n)


def timed(stop: Callable[[], int], n: int) -> list[int]:
    """Nanoseconds of each of n calls, after some that do not count."""
    took = []
    now = native.now_ns
    for _ in range(WARM_UP + n):
        began = now()
        stop()
        took.append(now() - began)
    return took[WARM_UP:]


def migrations(cores: tuple[int, int], n: int) -> list[int]:
    """Nanoseconds of a migration of the calling thread: n times half of there and back."""
    here, there = ({core} for core in cores)
    took = []
    now, move = native.now_ns, os.sched_setaffinity
    with host.pinned(cores[0]):
        for _ in range(WARM_UP + n):
            began = now()
            move(0, there)
            move(0, here)
            took.append((now() - began) // 2)
    return took[WARM_UP:]


def contenders(stack: ExitStack, cores: tuple[int, int]) -> dict[str, Contender]:
    """Who takes part, in the order of a round; each gives n samples when called."""
    def inside(task: Contender, placement: list[int], poll_us: int = 200) -> Contender:
        m = stack.enter_context(Machine(cpus=len(placement), placement=placement, poll_us=poll_us))
        return lambda n: m.run(task, n, timeout=SECONDS)

    two = list(cores)
    return {HOST: lambda n: migrations(cores, n),
            ONE: inside(one, two),
            ONE_ASLEEP: inside(one, two, poll_us=0),
            WHOLE.format(2): inside(whole, two),
            WHOLE.format(4): inside(whole, place(4))}


def measure(cores: tuple[int, int], rounds: int, n: int) -> dict[str, list[list[int]]]:
    """Every contender's samples, round by round."""
    with ExitStack() as stack:
        entered = contenders(stack, cores)
        took: dict[str, list[list[int]]] = {name: [] for name in entered}
        for _ in range(rounds):
            for name, go in entered.items():
                took[name].append(go(n))
    return took


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    cores = host.two_cores()
    if not cores:
        report.say("  needs two host cores; this process may use one\n")
        return
    took = measure(cores, *((4, 200) if quick else (10, 1000)))
    sums, middles = contest(report, took, HOST, "host")
    shared = len(set(place(4)))
    if shared < 4:
        report.say(f"  4 CPUs share {shared} host cores\n")
    asleep = ratio("", middles[ONE_ASLEEP], middles[HOST], 1, at_most=True)
    report.say(f"  polling off, stop_one_cpu takes {asleep.value:.1f} x the host's migration "
               f"({asleep.low:.1f} to {asleep.high:.1f} by round)\n")
    report.judge(ratio(f"{ONE} / {HOST}", middles[ONE], middles[HOST], 1, at_most=True))
    report.results["stoppers"] = {"unit": "us", "cores": cores, "contenders": sums,
                                  "round_p50_ns": middles, "asleep_over_host": asleep.value}
