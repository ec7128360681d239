"""Print the processes, then wait for a task that never ends.  A test kills or interrupts it."""

import json
import os
import signal

from kemu import Machine
from kemu.kernel.sched import cpu_relax
from kemu.machine import helper_link


def spin():
    print("spinning")
    while True:
        cpu_relax()


def tell(**what):
    print(json.dumps(what), flush=True)


# A shell starts what runs in the background deaf to Ctrl-C, the suite too, and who forks inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)

with Machine(2, console=lambda line: tell(console=line)) as m:
    tell(controller=os.getpid(), helper=helper_link.the_helper().process.pid, cpus=list(m.pids.values()))
    try:
        m.run(spin, cpu=1)
    except KeyboardInterrupt:
        tell(interrupted=True)
