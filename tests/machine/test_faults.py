"""The short form of `make faults`: a fault at a random instant ends in the error that names it."""

from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kemu import Machine, MachineError, OutOfMemory, Struct, native
from kemu.kernel.own.point import point
from kemu.memory.struct import Words
from tests.machine import faults, faults_outside
from tests.machine.faults import nothing

SEEDS = range(4)
ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_controller(seed):
    """A controller that is killed leaves no process behind: neither its helper nor a CPU."""
    faults_outside.kill_the_controller(random.Random(seed))


@pytest.mark.parametrize("who", ["controller", "helper"])
def test_stopped_outside_the_machine(who):
    """A controller, or a helper, that is stopped for longer than hang_after accuses nobody."""
    faults_outside.stop(random.Random(0), who, 1.5)


def test_no_false_alarm():
    """The short form of `make false-alarms`, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "tests.machine.false_alarms", "6", "1.5"], cwd=ROOT,
                          text=True, capture_output=True, check=False)
    assert done.returncode == 0 and "no report of a hang" in done.stdout, done.stderr


def test_no_address_space():
    """With no room for a machine's memory, boot() raises MachineError; afterwards a machine boots."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = psutil.Process().memory_info().vms + (64 << 20)
    with Machine(1):        # the helper is there
        resource.setrlimit(resource.RLIMIT_AS, (room, hard))
        try:
            with pytest.raises(MachineError, match="no shared memory for a machine with memory=1024 MiB"):
                Machine(2, memory=1024)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    with Machine(2) as m:
        assert m.run(nothing, None) == 0


class Block(Struct):
    """A thing that fills the heap."""

    words = Words(1 << 16)


def fill_the_heap() -> int:
    """Take blocks until there are no more, and give them back."""
    blocks = []
    try:
        while True:
            blocks.append(Block.alloc())
    except OutOfMemory:
        for block in blocks:
            block.free()
    return len(blocks)


def fill_the_symbols() -> None:
    for number in range(native.NR_SYMBOLS + 1):
        point(f"point number {number}")


def test_full_heap(machine):
    """A task that finds the heap full gets OutOfMemory, and the machine goes on when there is room again."""
    m = machine(1, memory=8)
    assert m.run(fill_the_heap) > 1
    assert m.run(fill_the_heap) > 1
    m.audit()


def test_full_symbol_table(machine):
    """More points than there are symbols: an error that says so, and the machine goes on."""
    m = machine(1, trace=True)
    with pytest.raises(OutOfMemory, match="symbol"):
        m.run(fill_the_symbols)
    assert m.run(nothing, None) == 0


def test_full_heap_for_an_argument(machine):
    """An argument for which the heap has no room is refused in the caller, and nothing is lost."""
    m = machine(1, memory=1)
    with pytest.raises(OutOfMemory):
        m.run(nothing, b"x" * (2 << 20))
    assert m.run(nothing, None) == 0


def test_no_wait_reads_the_wall_clock():
    """A step of CLOCK_REALTIME ends no wait and lengthens none: kemu reads the monotonic clock only."""
    sources = [path for path in (ROOT / "kemu").rglob("*") if path.suffix in (".py", ".c", ".h")]
    wall = re.compile(r"time\.time\(|time\.time_ns|CLOCK_REALTIME|gettimeofday|datetime\.(now|utcnow)")
    assert sources
    assert not [str(path) for path in sources if wall.search(path.read_text())]


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
