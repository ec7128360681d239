"""Run the tests, or the exhibits and torture, with a mutant in place, and say what became of it.

    killed        a test failed, a verdict was wrong, or a test took too long
    survived      everything passed, and tasks did call the mutant
    not called    everything passed, and nothing called the mutant

A failure counts only if it does not come with the function unchanged: what failed runs once more
under the control (draw.control).  If it fails then too, it is left out, and the rest goes on.
An UNKNOWN verdict is not a kill, because a loaded machine can cause it.

Locks: none.  Callers: __main__, test_mutants.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kemu.races import FORCED
from tests.mutants.draw import ROOT, Mutant, control
from tests.mutants.nearby import files_near
from tests.mutants.plugin import VARIABLE

KILLED, SURVIVED, NOT_CALLED = "killed", "survived", "not called"
SUITE, EXHIBIT = "suite", "exhibits"
TEST_SECONDS = 30           # for one test; pytest-timeout then ends the process
SUITE_SECONDS = 900         # for all files of a module
COMMAND_SECONDS = 180       # for one kemu command
LATE = "takes too long"
KEMU = [sys.executable, "-c", "from tests.mutants.plugin import kemu; kemu()"]
PYTEST = [sys.executable, "-m", "pytest", "-x", "-v", "-p", "tests.mutants.plugin",
          "-p", "no:cacheprovider", f"--timeout={TEST_SECONDS}"]
NOT_A_KILL = {0, 2}         # of kemu: as expected, UNKNOWN
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", re.MULTILINE)
BEGUN = re.compile(r"^(tests/\S+::.*?)(?: (?:PASSED|SKIPPED|XFAIL|\+{9})[^\n]*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Ending:
    """How one command ended.  ``status`` is None if it took too long."""

    status: int | None
    calls: int
    said: str


@dataclass(frozen=True)
class Judgement:
    """What became of a mutant, on one side.  ``unsure``: what fails without the mutant too."""

    verdict: str
    by: str = ""
    seconds: float = 0
    unsure: tuple[str, ...] = ()


def run_under(mutant: Mutant, command: list[str], seconds: float) -> Ending:
    """Run a command with the mutant in place.  Its processes are gone when this returns.

    pytest runs at the root of the tree, and kemu in a folder that is removed with what it wrote.
    """
    with tempfile.TemporaryDirectory(prefix="kemu-mutant-") as folder:
        file = Path(folder) / "mutant.json"
        file.write_text(json.dumps(asdict(mutant)))
        environment = os.environ | {VARIABLE: str(file), "PYTHONPATH": str(ROOT)}
        with (Path(folder) / "said").open("w+") as said, \
                subprocess.Popen(command, cwd=ROOT if "pytest" in command else folder, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                 start_new_session=True) as process:
            status = _wait(process, seconds)
            said.seek(0)
            text = said.read()
        calls = Path(f"{file}.calls")
        counted = sum(map(int, calls.read_text().split())) if calls.exists() else 0
    return Ending(status, counted, text)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status; None if the process was killed because it took too long."""
    status = None
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status


def judge_by_suite(mutant: Mutant, files: list[str] | None = None) -> Judgement:
    """Run the tests that touch the mutant's module, until one fails."""
    began, calls, unsure = time.monotonic(), 0, list[str]()
    files = files_near(mutant.module) if files is None else files
    while True:
        left_out = [f"--deselect={test}" for test in unsure]
        ending = run_under(mutant, [*PYTEST, *left_out, *files], SUITE_SECONDS)
        calls += ending.calls
        if ending.status == 0:
            return _alive(calls, began, unsure)
        test = failed_test(ending)
        if run_under(control(mutant.module, mutant.function), [*PYTEST, test], SUITE_SECONDS).status == 0:
            return Judgement(KILLED, test, time.monotonic() - began, tuple(unsure))
        if test in unsure:
            raise RuntimeError(f"pytest did not leave out {test}:\n{ending.said[-2000:]}")
        unsure.append(test)


def failed_test(ending: Ending) -> str:
    """The test that failed; if the process ended before it could say so, the last one begun."""
    found = FAILED.findall(ending.said) or BEGUN.findall(ending.said)[-1:]
    if not found:
        raise RuntimeError(f"pytest ended with status {ending.status} before any test:\n"
                           f"{ending.said[-2000:]}")
    return str(found[0])


def commands() -> Iterator[list[str]]:
    """What is run without the suite: torture, every exhibit forced, every fix under jitter."""
    yield ["torture", "--duration", "3"]
    for name in FORCED:
        yield ["race", name, "--how", "forced", "--trials", "3"]
    for name in FORCED:
        yield ["race", name, "--how", "jitter", "--seconds", "2", "--side", "after"]


def judge_by_exhibits(mutant: Mutant, tried: list[list[str]] | None = None) -> Judgement:
    """Run torture and the exhibits, until one says that something is wrong."""
    began, calls, unsure = time.monotonic(), 0, list[str]()
    for command in tried or commands():
        ending = run_under(mutant, [*KEMU, *command], COMMAND_SECONDS)
        calls += ending.calls
        if ending.status in NOT_A_KILL:
            continue
        what = " ".join(command) + (f" ({LATE})" if ending.status is None else "")
        whole = run_under(control(mutant.module, mutant.function), [*KEMU, *command], COMMAND_SECONDS)
        if whole.status in NOT_A_KILL:
            return Judgement(KILLED, what, time.monotonic() - began, tuple(unsure))
        unsure.append(what)
    return _alive(calls, began, unsure)


def _alive(calls: int, began: float, unsure: list[str]) -> Judgement:
    return Judgement(SURVIVED if calls else NOT_CALLED, "", time.monotonic() - began, tuple(unsure))


JUDGES = {SUITE: judge_by_suite, EXHIBIT: judge_by_exhibits}
