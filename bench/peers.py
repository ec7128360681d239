"""The round trip with what Python offers: four hand-overs between two cores.

    python -m bench.peers NAME CORE CORE WARM_UP N  >  N 64-bit numbers, nanoseconds

A clean process each time, so that forking is safe and nobody's threads are about.
"""

from __future__ import annotations

import array
import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Do = Callable[[], object]
fork = multiprocessing.get_context("fork")


def caller(give: Do, take: Do, trips: int) -> list[int]:
    """Unpark, acknowledged, park, parked; nanoseconds each."""
    took = []
    for _ in range(trips):
        began = time.perf_counter_ns()
        give()
        take()
        give()
        take()
        took.append(time.perf_counter_ns() - began)
    return took


def worker(core: int, take: Do, give: Do, trips: int) -> None:
    """The other side, on its own core."""
    os.sched_setaffinity(0, {core})
    for _ in range(2 * trips):
        take()
        give()


def _cleared(event: Any) -> Do:
    def take() -> None:
        event.wait()
        event.clear()
    return take


def events(new: Callable[[], Any]) -> tuple[Do, Do, Do, Do]:
    """give and take of the caller, take and give of the worker."""
    there, back = new(), new()
    return there.set, _cleared(back), _cleared(there), back.set


def semaphores() -> tuple[Do, Do, Do, Do]:
    there, back = fork.Semaphore(0), fork.Semaphore(0)
    return there.release, back.acquire, there.acquire, back.release


def pipes() -> tuple[Do, Do, Do, Do]:
    (there_out, there_in), (back_out, back_in) = os.pipe(), os.pipe()
    return (lambda: os.write(there_in, b"."), lambda: os.read(back_out, 1),
            lambda: os.read(there_out, 1), lambda: os.write(back_in, b"."))


PEERS: dict[str, tuple[Any, Callable[[], tuple[Do, Do, Do, Do]]]] = {
    "mp-event": (fork.Process, lambda: events(fork.Event)),
    "mp-semaphore": (fork.Process, semaphores),
    "pipe": (fork.Process, pipes),
    "thread-event": (threading.Thread, lambda: events(threading.Event)),
}


def main(name: str, *numbers: str) -> None:
    """Run one peer, and write what it took."""
    mine, its, warm_up, n = map(int, numbers)
    start, new = PEERS[name]
    give, take, its_take, its_give = new()
    gc.disable()            # as kemu's CPUs have it
    other = start(target=worker, args=(its, its_take, its_give, warm_up + n), daemon=True)
    other.start()
    os.sched_setaffinity(0, {mine})
    took = caller(give, take, warm_up + n)
    other.join()
    sys.stdout.buffer.write(array.array("Q", took[warm_up:]).tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
