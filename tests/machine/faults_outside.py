"""Kill and stop controllers and helpers, from another process, while locks and hotplug are exercised.

    python -m tests.machine.faults_outside TIMES SECONDS

kills so many controllers, and stops so many controllers and as many helpers for SECONDS.  After a
kill no process may be left; after a stop the machine goes on, and no error has come.  It prints how
long the last process of a killed controller was still there.

Callers: test_faults; make faults.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from tests.machine.faults import LONGEST_WORK, check_gone, told

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "programs" / "exercised.py"
SIDE_BY_SIDE = 10       # machines that are stopped at the same time


def start() -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A process with a machine that is exercised, and the pids of all its processes."""
    process = subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def kill_the_controller(dice: random.Random) -> float:
    """SIGKILL to a controller at a random instant.  Returns the seconds until all its processes are gone."""
    process, pids = start()
    with process:
        time.sleep(dice.random() * LONGEST_WORK)
        began = time.monotonic()
        process.kill()
        check_gone([pids["helper"], *pids["cpus"]])
        return time.monotonic() - began


def stop(dice: random.Random, who: str, seconds: float) -> None:
    """SIGSTOP to a "controller" or "helper" for so long.  No error comes, and the machine goes on."""
    process, pids = start()
    with process:
        time.sleep(dice.random() * LONGEST_WORK)
        os.kill(pids[who], signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pids[who], signal.SIGCONT)
        out, _ = process.communicate("\n")
    said = json.loads(out)
    assert process.returncode == 0 and said["went_on"], said["report"]
    check_gone([pids["helper"], *pids["cpus"]])


def main(times: int, seconds: float) -> None:
    dice = random.Random(0)
    took = [kill_the_controller(dice) for _ in range(times)]
    print(told("controller", took) + f"   load {psutil.getloadavg()[0]:.0f}", flush=True)
    for who in ("controller", "helper"):
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(lambda _: stop(dice, who, seconds), range(times)))    # noqa: B023
        print(f"SIGSTOP of the {who}, {seconds:g} s: {times} of {times} went on", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
