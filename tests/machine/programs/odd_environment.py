"""SIGCHLD is ignored, and sys.path has what is no text in it.  Two machines, one after the other."""

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
