"""Exercise machines beside busy loops for long, and stop their processes: no report of a hang may come.

    python -m tests.machine.false_alarms SECONDS [STOP]

Two machines run hotplug, stop_machine, kernel threads and a storm of execs, beside two busy loops.
This process waits without a limit for a result of the first, so that every stillness is judged; the
second has a watchdog and khungtaskd.  Another process stops a CPU process or the helper for STOP
seconds, 10 by default, lets all run for as long, and again.  A report of a hang ends this with status 1.

Callers: test_faults; make false-alarms.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any, NoReturn

import psutil

import kemu
from kemu import Machine
from kemu.machine import helper_link
from tests.machine.faults import exercise

BUSY_LOOPS = 2
WATCHED: dict[str, Any] = {"watchdog": 5, "hung_task": 10}


class TimeIsUp(BaseException):
    """The seconds are over, and no report has come."""


def storm() -> NoReturn:
    """Exec again and again, each time where the least is to do."""
    kemu.exec(storm)


def stop_without_end(seconds: float, pids: list[int]) -> NoReturn:
    """Stop a process for so long, let all run for so long, and again.  The process that calls is killed."""
    dice = random.Random(0)
    while True:
        process = psutil.Process(dice.choice(pids))
        process.suspend()
        time.sleep(seconds)
        process.resume()
        time.sleep(seconds)


def start(stack: ExitStack, *command: str) -> None:
    """Another Python, which is killed at the end of the stack."""
    other = subprocess.Popen([sys.executable, *command])
    stack.callback(other.wait)
    stack.callback(other.kill)


def resume(pids: list[int]) -> None:
    for pid in filter(psutil.pid_exists, pids):
        psutil.Process(pid).resume()


def time_is_up(*_: object) -> NoReturn:
    raise TimeIsUp


def main(seconds: float, stop: float = 10.0) -> None:
    """Raises KernelHang if a machine accuses a task that lives."""
    with ExitStack() as stack:
        machines = [stack.enter_context(Machine(3)), stack.enter_context(Machine(3, **WATCHED))]
        pids = [helper_link.the_helper().process.pid, *(pid for m in machines for pid in m.pids.values())]
        handles = [m.start(what, cpu=cpu) for m in machines for what, cpu in ((exercise, 0), (storm, 2))]
        stack.callback(resume, pids)
        for _ in range(BUSY_LOOPS):
            start(stack, "-c", "while True: pass")
        start(stack, "-m", "tests.machine.false_alarms", "stopper", str(stop), *map(str, pids))
        signal.signal(signal.SIGALRM, time_is_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            handles[0].result()
        except TimeIsUp:
            print(f"{seconds:g} s, stops of {stop:g} s, load {psutil.getloadavg()[0]:.0f}: ", end="")
        for handle in handles:
            if handle.done():
                handle.result()
        print("no report of a hang")


if __name__ == "__main__":
    if sys.argv[1] == "stopper":
        stop_without_end(float(sys.argv[2]), list(map(int, sys.argv[3:])))
    main(*map(float, sys.argv[1:]))
