"""The short form of `make faults`: a fault at a random instant ends in the error that names it."""

from __future__ import annotations

import os
import random
import resource

import pytest

from kemu import Machine, MachineError
from kemu.kernel.own.point import point
from tests.machine import faults
from tests.machine.faults import nothing

SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_cpu(seed):
    """A CPU process that is killed during hotplug: MachineError, and no process is left."""
    faults.kill_a_cpu(random.Random(seed))


def test_killed_helper():
    """A helper that is killed: MachineError, its CPUs go, and the next machine has a new helper."""
    faults.kill_the_helper(random.Random(0))
    with Machine(1) as m:
        assert m.run(nothing, None) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_stopped_cpu(seed):
    """A CPU process that is stopped for a moment is not taken for a deadlock."""
    faults.stop_a_cpu(random.Random(seed))


def test_no_descriptors():
    """With no descriptor left, boot() says what to raise; afterwards a machine boots."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Machine(1):        # the helper is there
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3, hard))
        try:
            with pytest.raises(MachineError, match=r"ulimit -n|no shared memory"):
                Machine(4)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with Machine(4) as m:
        assert m.run(nothing, None) == 0


def fill_the_rings() -> int:
    for _ in range(20_000):
        point("ring")
    return 0


def test_full_rings(machine):
    """A trace that overflowed its rings says how many events it lost, and holds the last ones."""
    m = machine(2, trace=True)
    assert m.run(fill_the_rings) == 0
    trace = m.trace()
    assert trace.lost[0] > 0 and trace.events
    assert "older ones overwritten" in repr(trace)
    assert "events lost" in m.report()
