"""How long a boot of 4 CPUs takes: the first of a process, helper included, and later ones.

The first is measured in fresh interpreters; importing kemu comes on top, and is shown.
"""

from __future__ import annotations

import json
import time
from statistics import median

from loguru import logger

from bench import child
from bench.stats import Goal, Report

TITLE = "Boot of 4 CPUs, in milliseconds"
CPUS = 4


def timed_boots(later: int) -> None:
    """In a fresh interpreter: print, in milliseconds, the import, the first boot, later boots, closings."""
    start = time.perf_counter()
    from kemu.machine.machine import Machine
    logger.disable("kemu")

    took: dict[str, list[float]] = {"import": [(time.perf_counter() - start) * 1e3],
                                    "first": [], "later": [], "close": []}
    for number in range(1 + later):
        start = time.perf_counter()
        m = Machine(cpus=CPUS)
        booted = time.perf_counter()
        m.close()
        took["later" if number else "first"].append((booted - start) * 1e3)
        took["close"].append((time.perf_counter() - booted) * 1e3)
    print(json.dumps(took))


def measure(children: int, later: int) -> dict[str, list[float]]:
    """The figures of several fresh interpreters."""
    took: dict[str, list[float]] = {"import": [], "first": [], "later": [], "close": []}
    code = f"from bench import boot; boot.timed_boots({later})"
    for _ in range(children):
        for name, ms in json.loads(child.output_of(child.python("-c", code))).items():
            took[name] += ms
    return took


NAMES = {"import": "import kemu", "first": "first boot, helper included", "later": "later boot",
         "close": "close"}


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    took = measure(children=3 if quick else 6, later=4)
    report.table(["", "n", "min", "p50", "max"], [
        [NAMES[name], str(len(ms)), f"{min(ms):.1f}", f"{median(ms):.1f}", f"{max(ms):.1f}"]
        for name, ms in took.items()])
    report.judge(*(Goal(NAMES[name], median(took[name]), limit, unit="ms",
                        low=min(took[name]), high=max(took[name]))
                   for name, limit in (("first", 400), ("later", 60))))
    report.results["boot"] = {"unit": "ms", "cpus": CPUS, **took}
