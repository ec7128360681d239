"""A machine that is never closed, with a task that still runs."""

import json

from kemu import Machine
from kemu.kernel.sched import cpu_relax
from kemu.machine import helper_link


def spin():
    while True:
        cpu_relax()


m = Machine(2)
m.start(spin, cpu=1)
print(json.dumps([helper_link.the_helper().process.pid, *m.pids.values()]))
