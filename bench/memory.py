"""What one more CPU costs: PSS of all processes of a machine, by number of CPUs.

PSS counts a page that k processes share as 1/k in each, so a sum over the controller,
the helper and the CPUs counts every page once.  What a CPU adds to that sum is what it
costs; the CPU's own PSS is less than that where it shares and more where others do.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
from loguru import logger

from bench import child
from bench.stats import Goal, Report

TITLE = "Memory (PSS), in MB"
CPUS = (1, 2, 4, 8)
MB = 1e6
SETTLE_SECONDS = 0.2


def pss(pid: int) -> float:
    """A process's share of memory, in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / MB
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss line")


def busy(n: int) -> int:
    """A task that does a little."""
    return sum(range(n))


def whole(pids: list[int]) -> dict[str, float]:
    """The machine's processes together, and a CPU's on average."""
    helper = psutil.Process(pids[0]).ppid()
    time.sleep(SETTLE_SECONDS)
    mine = [pss(pid) for pid in pids]
    return {"all": sum(mine) + pss(helper) + pss(psutil.Process().pid), "cpu": sum(mine) / len(mine)}


def weigh() -> None:
    """In a fresh interpreter: print each machine's memory, booted and after a task on each CPU."""
    from kemu.machine.machine import Machine

    logger.disable("kemu")
    found = {}
    for cpus in CPUS:
        with Machine(cpus=cpus) as m:
            deadline = time.monotonic() + 5
            while len(m.pids) < cpus and time.monotonic() < deadline:
                time.sleep(0.01)        # the helper's word may come after the CPUs' own
            booted = whole(list(m.pids.values()))
            for cpu in range(cpus):
                m.run(busy, 1000, cpu=cpu, timeout=30)
            found[cpus] = {"booted": booted, "used": whole(list(m.pids.values()))}
    print(json.dumps(found))


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    code = "from bench import memory; memory.weigh()"
    found = {int(cpus): of for cpus, of in json.loads(child.output_of(child.python("-c", code))).items()}

    def extra(cpus: int, when: str) -> float:
        return float(found[cpus][when]["all"] - found[1][when]["all"]) / (cpus - 1)

    report.table(
        ["CPUs", "all, booted", "a CPU's own", "per extra CPU", "all, used", "a CPU's own",
         "per extra CPU"],
        [[str(cpus), *(cell for when in ("booted", "used") for cell in (
            f"{of[when]['all']:.1f}", f"{of[when]['cpu']:.1f}",
            f"{extra(cpus, when):.1f}" if cpus > 1 else "-"))] for cpus, of in found.items()])
    report.say("  all: controller, helper and CPUs; used: after one task on each CPU\n")
    most = CPUS[-1]
    report.judge(*(Goal(f"per extra CPU, {when}, {most} CPUs", extra(most, when), 6, unit="MB")
                   for when in ("booted", "used")))
    report.results["memory"] = {"unit": "MB", "by_cpus": found}
