"""A machine that is never closed, with a task that still runs."""

import json

from kemu import Machine
from kemu.kernel.sched import cpu_relax
from kemu.machine import boot


def spin():
    while True:
        cpu_relax()


m = Machine(2)
m.start(spin, cpu=1)
print(json.dumps([boot.the_helper().process.pid, *m.pids.values()]))
