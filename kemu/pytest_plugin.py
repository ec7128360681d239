"""The pytest plugin: two fixtures, and a report of the machines when a test hangs.

``kemu_machine(cpus=4, ...)`` boots a machine.  The fixture closes it when the test ends.
``kemu_race(race, how="jitter", seconds=5)`` runs a race, and prints its diagrams to the
test's output.

pytest-timeout calls no hook when a test times out, and its "thread" method ends the
process.  So the plugin starts a timer that fires shortly before the time-out.  The timer
takes a report of every machine, and writes it to standard error and into the test's report.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kemu.machine.machine import Machine
    from kemu.harness.race import Race
    from kemu.harness.verdict import Outcome

BEFORE_TIMEOUT = 0.8        # the part of the test's time after which the timer fires

_timers = pytest.StashKey[threading.Timer]()
_reports = pytest.StashKey[str]()


@pytest.fixture
def kemu_machine() -> Iterator[Callable[..., Machine]]:
    """Boot machines.  Takes the arguments of kemu.Machine.

    The fixture closes the machines when the test ends.  If a machine stopped and the test
    did not handle it, the fixture then raises the machine's error.
    """
    from kemu.machine.machine import Machine

    booted: list[Machine] = []

    def boot(*args: Any, **kwargs: Any) -> Machine:
        booted.append(Machine(*args, **kwargs))
        return booted[-1]

    yield boot
    for machine in booted:
        machine.close()
    for machine in booted:
        machine.raise_unreported_failure()


@pytest.fixture
def kemu_race(tmp_path: Path) -> Callable[..., Outcome]:
    """Run a race with the plan that the keywords give.  Returns the outcome.

    The keywords are those of Plan: how="forced", trials=, seconds=, seed=, cpus=.  With how="random",
    "pct" or "exhaustive" they are those of kemu.explore.run.Search: schedules=, seconds=, seed=,
    depth=, preemptions=, memory=, jobs=.  A race that needs a memory model is searched exhaustively if
    how= is not given.
    """
    from kemu.explore.run import HOWS as SEARCHES
    from kemu.explore.run import Search, explore_race
    from kemu.harness.runner import Plan, run_race
    from kemu.races import EXHIBITS

    def run(race: Race, **plan: Any) -> Outcome:
        if race.memory != "sc":
            plan = {"how": race.default_how} | plan
        if plan.get("how") in SEARCHES:
            outcome = explore_race(race, Search(**plan))
        else:
            outcome = run_race(race, Plan(**plan))
        outcome.what = "" if race.name in EXHIBITS else f"{race.file}:{race.name}"
        print(outcome)
        _keep_schedules(outcome, tmp_path)
        return outcome

    return run


def _keep_schedules(outcome: Outcome, folder: Path) -> None:
    """Write the schedule of each side that a search hit, and print the command that replays it."""
    from kemu.explore.schedule import parse

    for side in outcome.sides.values():
        if side.schedule:
            file = folder / f"{outcome.race}-{side.side}.schedule"
            file.write_text(replace(parse(side.schedule), race=outcome.what or outcome.race).text)
            print(f"  run the schedule of {side.side} again:\n    kemu replay {file}")


def _report_machines(item: pytest.Item) -> None:
    """Report what every machine does.  Runs in the timer's thread, before pytest-timeout acts."""
    from kemu.machine.machine import machines

    parts = [machine.report(stacks=True) for machine in machines()]
    if parts:
        text = f"kemu: {item.nodeid} is about to time out\n\n" + "\n\n".join(parts)
        item.stash[_reports] = text
        print(text, file=sys.__stderr__, flush=True)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Start the plugin's timer.  It returns None, so pytest-timeout starts its own timer too."""
    if settings.timeout and settings.timeout > 0 and "kemu" in sys.modules:
        timer = threading.Timer(settings.timeout * BEFORE_TIMEOUT, _report_machines, [item])
        timer.daemon, timer.name = True, "kemu-report"      # a bystander: see kemu.machine.stillness
        item.stash[_timers] = timer
        timer.start()


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    """Cancel the plugin's timer: the test has ended in time."""
    timer = item.stash.get(_timers, None)
    if timer is not None:
        timer.cancel()
        timer.join()
        del item.stash[_timers]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
        item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the timer's report to the report of a failed test."""
    report = yield
    text = item.stash.get(_reports, "")
    if text and report.failed:
        report.sections.append(("kemu machines", text))
    return report
