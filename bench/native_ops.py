"""One operation on shared memory, from Python: kemu's words and locks beside multiprocessing.Value.

Each is timed in a loop, the empty loop subtracted.  kemu's run inside a task, where
kernel code runs; Value's in this process, pinned to the same core; by turns.
"""

from __future__ import annotations

import multiprocessing
import timeit
from statistics import median

from bench.host import pinned
from bench.stats import Report, ratio
from kemu import native
from kemu.kernel.own.point import point
from kemu.machine.machine import Machine
from kemu.memory.struct import Lock, Struct, Word
from kemu.trace import events

TITLE = "One operation, from Python, in nanoseconds"

WORDS = {
    "Word.load": "w.load()",
    "Word.store": "w.store(1)",
    "Word.add": "w.add(1)",
    "Word.cmpxchg": "w.cmpxchg(0, 0)",
    "Word.test_and_set_bit": "w.test_and_set_bit(3)",
}
OTHERS = {
    "SpinLock.lock, unlock": "lock.lock(); lock.unlock()",
    "point(), nothing armed": "point('bench:op')",
    "native.trace, off": "trace(id, -1, 0, 0, 0)",
}
UNDER_LOCK = "with v.get_lock(): v.value += 1"
VALUES = {
    UNDER_LOCK: UNDER_LOCK,
    "Value.value": "v.value",
    "RawValue.value, no lock": "raw.value",
}
EMPTY = "pass"


class Scratch(Struct):
    """What the operations work on."""

    word = Word()
    lock = Lock()


def time_each(statements: dict[str, str], names: dict[str, object], calls: int) -> dict[str, float]:
    """Nanoseconds per call of each statement, without the loop round it."""
    def per_call(statement: str) -> float:
        return timeit.timeit(statement, globals=names, number=calls) / calls * 1e9

    empty = min(per_call(EMPTY) for _ in range(3))
    return {name: max(per_call(statement) - empty, 0.1) for name, statement in statements.items()}


def in_a_task(calls: int) -> dict[str, float]:
    """kemu's operations, once round."""
    scratch = Scratch.alloc()
    try:
        return time_each(WORDS | OTHERS, {
            "w": scratch.word, "lock": scratch.lock, "point": point, "trace": native.trace,
            "id": events.KTHREAD_PARKED}, calls)
    finally:
        scratch.free()


def of_value(calls: int) -> dict[str, float]:
    """multiprocessing's, once round."""
    return time_each(VALUES, {"v": multiprocessing.Value("q", 0),
                              "raw": multiprocessing.RawValue("q", 0)}, calls)


def measure(rounds: int, calls: int) -> dict[str, list[float]]:
    """Every operation's cost, round by round."""
    costs: dict[str, list[float]] = {name: [] for name in [*WORDS, *OTHERS, *VALUES]}
    with Machine(cpus=1) as m, pinned(m.placement[0]):
        for _ in range(rounds):
            for name, ns in (m.run(in_a_task, calls, timeout=60) | of_value(calls)).items():
                costs[name].append(ns)
    return costs


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    costs = measure(rounds=5 if quick else 20, calls=5_000 if quick else 20_000)
    locked = costs[UNDER_LOCK]
    report.table(["operation", "p50", "min", "max", "locked Value / it"], [
        [name, f"{median(ns):.1f}", f"{min(ns):.1f}", f"{max(ns):.1f}",
         f"{median(locked) / median(ns):.1f} x"] for name, ns in costs.items()])
    dearest = max(WORDS, key=lambda name: median(costs[name]))
    report.judge(
        ratio("Value += 1 under its lock / Word.add", locked, costs["Word.add"], 20, at_most=False),
        ratio(f"the same / dearest on a word ({dearest})", locked, costs[dearest], 20, at_most=False))
    report.results["native_ops"] = {"unit": "ns", "rounds": costs}
