"""Kill and stop processes of machines at random instants, while locks and hotplug are exercised.

    python -m tests.machine.faults KILLS

kills that many CPU processes, a tenth as many helpers, and stops as many CPU processes for a
moment.  It prints how long the errors took to come.  An error that does not come, a machine
that does not go on after a stop, and a process that is left behind end it with status 1.

Callers: test_faults; make faults.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from kemu import Machine, MachineError
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.kthread import (kthread_create_on_cpu, kthread_park, kthread_parkme,
                                 kthread_should_park, kthread_should_stop, kthread_stop,
                                 kthread_unpark)
from kemu.kernel.sched import schedule_timeout
from kemu.kernel.stop_machine import stop_machine
from kemu.machine import helper_link

LONGEST_WORK = 0.1      # seconds of exercise before the fault
MOMENT = 0.2            # seconds that a process is stopped
LATE = 30.0             # an error that takes longer does not come
GONE = 10.0             # a process that is still there after that is left behind


def resident(data: object) -> int:
    """A thread that parks when it is asked to."""
    while not kthread_should_stop():
        if kthread_should_park():
            kthread_parkme()
        schedule_timeout(1_000_000)
    return 0


def nothing(data: object) -> int:
    return 0


def exercise() -> None:
    """Run hotplug and stop_machine, and create, park and stop threads, without end."""
    while True:
        assert cpu_down(1) == 0
        assert cpu_up(1) == 0
        thread = kthread_create_on_cpu(resident, None, 1, "resident/%u")
        kthread_unpark(thread)
        stop_machine(nothing, None, None)
        kthread_park(thread)
        kthread_stop(thread)


def check_gone(pids: list[int]) -> None:
    """Raises AssertionError if a process is left."""
    until = time.monotonic() + GONE
    left = pids
    while left and time.monotonic() < until:
        left = [pid for pid in left if psutil.pid_exists(pid)]
    assert not left, f"left behind: {left}"


def error_after(dice: random.Random, fault: Callable[[Machine], None]) -> float:
    """Do a fault to a machine that is exercised.  Returns the seconds until its MachineError."""
    with Machine(2) as m:
        handle, pids = m.start(exercise), list(m.pids.values())
        time.sleep(dice.random() * LONGEST_WORK)
        began = time.monotonic()
        fault(m)
        try:
            handle.result(LATE)
        except MachineError:
            took = time.monotonic() - began
    check_gone(pids)
    return took


def kill_a_cpu(dice: random.Random) -> float:
    """SIGKILL to a CPU process at a random instant.  Returns the seconds until the error."""
    return error_after(dice, lambda m: os.kill(dice.choice(list(m.pids.values())), signal.SIGKILL))


def kill_the_helper(dice: random.Random) -> float:
    """SIGKILL to the helper.  The next boot starts another one."""
    return error_after(dice, lambda m: helper_link.the_helper().process.kill())


def stop_a_cpu(dice: random.Random) -> None:
    """SIGSTOP to a CPU process for a moment.  No error comes, and the machine goes on."""
    with Machine(2) as m:
        handle, process = m.start(exercise), psutil.Process(dice.choice(list(m.pids.values())))
        process.suspend()
        assert not handle.wait(MOMENT)
        process.resume()
        assert m.run(nothing, None, timeout=LATE) == 0
        assert not handle.done()


def told(what: str, seconds: list[float]) -> str:
    """Count, median, 99th percentile and longest of the times until an error, in milliseconds."""
    ranked = sorted(one * 1e3 for one in seconds)
    return (f"{what:<10} {len(ranked):>5}   median {ranked[len(ranked) // 2]:7.1f} ms   "
            f"p99 {ranked[len(ranked) * 99 // 100]:7.1f} ms   longest {ranked[-1]:7.1f} ms")


def main(kills: int) -> None:
    dice: Any = random.Random(0)
    print(told("SIGKILL", [kill_a_cpu(dice) for _ in range(kills)]), flush=True)
    tenth = max(kills // 10, 1)
    print(told("helper", [kill_the_helper(dice) for _ in range(tenth)]), flush=True)
    for _ in range(tenth):
        stop_a_cpu(dice)
    print(f"{'SIGSTOP':<10} {tenth:>5}   no error, and each machine went on")


if __name__ == "__main__":
    main(int(sys.argv[1]))
