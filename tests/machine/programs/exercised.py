"""Exercise a machine until a line comes, then say whether it went on.  A test does a fault meanwhile."""

import json
import os
import sys

from kemu import Machine
from kemu.machine import helper_link
from tests.machine.faults import LATE, exercise, nothing


def tell(**what):
    print(json.dumps(what), flush=True)


with Machine(2) as m:
    handle = m.start(exercise)
    tell(controller=os.getpid(), helper=helper_link.the_helper().process.pid, cpus=list(m.pids.values()))
    sys.stdin.readline()
    tell(went_on=m.run(nothing, None, timeout=LATE) == 0 and not handle.done(), report=m.report())
