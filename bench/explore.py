"""Searches: schedules a second, what a step costs, what the reduction saves.

Schedules a second are trials of one search by random, for a time that begins when the machine runs:
unpark-wrong-cpu, after, on one host core and on two; and three CPUs with three additions each, beside
frontrun's three threads, if frontrun is there (`pip install frontrun`).

A step without a switch is an operation of a trial with one CPU, beside the same operation of the
same machine between two trials.  The trial's clock is virtual, so it is Python's that is read.

The reduction is compared on the programs of the tests, by a model of the chooser in Python.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import kemu
from bench import host
from bench.additions import ADDITIONS, THREADS
from bench.child import output_of
from bench.stats import Goal, Report, percentile, ratio
from kemu.explore.exhaustive import Exhaustive
from kemu.explore.jobs import Limits, SearchJobs
from kemu.explore.reduced import Reduced
from kemu.explore.plan import Plan
from kemu.explore.strategy import Random, Replay
from kemu.explore.trials import hold_trials
from kemu.harness.race import Race
from kemu.harness.verdict import Side
from kemu.races import exhibit

TITLE = "Searches: schedules a second, the cost of a step, the reduction"

RACE = "unpark-wrong-cpu"
AUDIT_EVERY = 10
OPERATIONS = 1_000          # of a trial that measures a step
PREEMPTIONS = 2             # of the comparison of the reduction
STEP_LIMIT_NS = 100
MACHINE_LIMIT, PAIR_LIMIT = 1_000, 1.8


class Total(kemu.PerCPU):
    """What the CPUs add to."""

    value = kemu.Word()


def additions() -> Race:
    """As many CPUs as frontrun has threads, with the same additions."""
    race = Race("additions", cpus=THREADS)

    for cpu in range(THREADS):
        def add(t: Any) -> None:
            with t.window():
                for _ in range(ADDITIONS):
                    total = Total.on(0).value
                    total.store(total.load() + 1)

        add.__name__ = f"adder{cpu}"
        race.actor(cpu=cpu)(add)

    @race.invariant()
    def some_are_counted(t: Any) -> None:
        assert Total.on(0).value.load()

    return race


def rate(race: Race, jobs: int, seconds: float) -> float:
    """Schedules a second, of so many machines together."""
    side = Side("after", "random")
    SearchJobs(race, side, Random(1), Limits(jobs, 1 << 40, seconds, AUDIT_EVERY, "sc"),
               lambda side: None).run()
    return side.trials / seconds


def frontrun_rate(schedules: int) -> float | None:
    """Schedules a second of frontrun; None if it is not there."""
    command = shutil.which("frontrun", path=str(Path(sys.executable).parent)) or shutil.which("frontrun")
    if not command:
        return None
    said = output_of([command, sys.executable, "-m", "bench.additions", str(schedules)])
    held, took = said.split()[-2:]
    return int(held) / float(took)


def rates(report: Report, quick: bool) -> None:
    """By turns, in rounds."""
    rounds, seconds = (2, 1.0) if quick else (7, 3.0)
    race, adds, cores = exhibit(RACE), additions(), host.two_cores()
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in ((f"{RACE}, one host core", rate(race, 1, seconds)),
                            (f"{RACE}, two", rate(race, 2, seconds) if cores else None),
                            ("additions, kemu, one host core", rate(adds, 1, seconds)),
                            ("additions, frontrun", frontrun_rate(100 if quick else 300))):
            if value is not None:
                found.setdefault(name, []).append(value)
    report.table(["schedules a second", "p50", "min", "max"], [
        [name, *(f"{value:.0f}" for value in (median(each), min(each), max(each)))]
        for name, each in found.items()])
    if "additions, frontrun" not in found:
        report.say("  frontrun is not installed: `pip install frontrun` adds it to the table\n")
    one, *others = found.values()
    goals = [Goal(f"{RACE}, one host core", median(one), MACHINE_LIMIT, at_most=False, unit="/s",
                  low=min(one), high=max(one))]
    if cores:
        goals.append(ratio("two host cores / one", others[0], one, PAIR_LIMIT, at_most=False))
    if "additions, frontrun" in found:
        goals.append(ratio("additions, kemu / frontrun", found["additions, kemu, one host core"],
                           found["additions, frontrun"], 1, at_most=False))
    report.judge(*goals)
    report.results["explore_rates"] = {"unit": "schedules/s", "rounds": found}


def stepping(file: str) -> Race:
    """A race of one CPU that times its loads in each trial, and again after it, into a file."""
    race = Race("stepping", cpus=1)

    def loads() -> float:
        """Nanoseconds for each load, the loop included."""
        load = Total.on(0).value.load
        began = time.perf_counter_ns()
        for _ in range(OPERATIONS):
            load()
        return (time.perf_counter_ns() - began) / OPERATIONS

    controlled: list[float] = []

    @race.actor(cpu=0)
    def steps(t: Any) -> None:
        with t.window():
            controlled.append(loads())

    @race.conclude
    def alone(t: Any) -> None:
        with Path(file).open("a") as out:
            out.write(json.dumps([controlled.pop(), loads()]) + "\n")

    @race.invariant()
    def nothing_is_judged(t: Any) -> None:
        pass

    return race


def step_costs(report: Report, quick: bool) -> None:
    """A step of a trial beside the same operation alone, by turns in one machine."""
    with tempfile.NamedTemporaryFile() as file:
        hold_trials(stepping(file.name), "after", Replay(Plan()), schedules=20 if quick else 200,
                    audit_every=1000)
        pairs = [json.loads(line) for line in Path(file.name).read_text().splitlines()]
    more = sorted(controlled - alone for controlled, alone in pairs)
    rows = {"in a trial": sorted(pair[0] for pair in pairs), "alone": sorted(pair[1] for pair in pairs),
            "the step": more}
    report.table(["a load, ns", "p50", "p99"], [
        [name, f"{median(ns):.0f}", f"{percentile(ns, 99):.0f}"] for name, ns in rows.items()])
    report.judge(Goal("a step without a switch, over the operation", median(more), STEP_LIMIT_NS, unit="ns",
                      low=more[0], high=more[-1]))
    report.results["explore_step"] = {"unit": "ns", "pairs": pairs}


def reduction(report: Report) -> None:
    """How many schedules the reduction leaves of all, and whether the outcomes are the same."""
    from tests.explore.programs import PROGRAMS
    from tests.explore.toy import outcomes

    rows, kept = [], []
    for name, program in PROGRAMS.items():
        whole, reduced = Exhaustive(PREEMPTIONS), Reduced(PREEMPTIONS)
        same = outcomes(program, whole) == outcomes(program, reduced)
        kept.append(whole.held / reduced.held)
        rows.append([name, str(whole.held), str(reduced.held), f"{kept[-1]:.1f} x", "yes" if same else "NO"])
    report.table([f"program, {PREEMPTIONS} preemptions", "all", "held", "reduction", "same outcomes"], rows)
    report.results["explore_reduction"] = {row[0]: row[1:] for row in rows}


def run(report: Report, quick: bool) -> None:
    """Measure, print, and keep."""
    rates(report, quick)
    step_costs(report, quick)
    reduction(report)
