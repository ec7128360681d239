"""A process with a machine forks.  The child may boot its own; the parent's lives on."""

import os
import sys

from kemu import Machine
from kemu.errors import UsageError


def double(n):
    return 2 * n


def child(m):
    """Try everything that could hurt the parent, then boot a machine of one's own."""
    try:
        m.run(double, 1)
        return "the parent's machine was used"
    except UsageError as error:
        refused = "parent process" in str(error)
    m.close()
    with Machine(2) as own:
        return None if refused and own.run(double, 21, cpu=1) == 42 else "no machine of its own"


m = Machine(2)
pid = os.fork()
if not pid:
    sys.exit(child(m))          # the interpreter's whole end, finalizers and all
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), m.run(double, 21, cpu=1))
m.close()
