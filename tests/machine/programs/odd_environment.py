"""Ignore SIGCHLD, put an object that is not text into sys.path, and boot two machines in turn."""

import signal
import sys
from pathlib import Path

from kemu import Machine

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
sys.path.append(Path("/nowhere"))


def times(n):
    return 7 * n


for _ in range(2):
    with Machine(2) as m:
        print(m.run(times, 6, cpu=1))
