"""Hotplug under load."""

from __future__ import annotations

import pytest

from kemu.torture.onoff import Direction, Stats
from kemu.torture.run import Plan, Run
from kemu.torture.worker import Control, worker_main
from kemu.torture.worker import Worker as WorkerWords
from kemu.torture.workloads import affinity, park


def hotplug(cpus, seed, **plan):
    return Plan(cpus=cpus, seed=seed, mix=("park", "stop", "affinity", "execs"), shuffle=0, stutter=0, **plan)


@pytest.mark.parametrize("cpus", [2, 5])
def test_short_torture(machine, cpus):
    """A few seconds of it: nothing fails, and CPUs do come and go."""
    stats = Run(machine(cpus), hotplug(cpus, cpus, seconds=3)).go().stats
    assert (stats.failures, stats.down.ok > 0, stats.up.ok > 0) == ([], True, True)


def test_audit_beside_the_load(machine):
    """A task may still run where its mask forbids it, until the stopper comes: that is not a violation."""
    m = machine(3)
    for workload in (affinity, park):
        with m.looking():
            words = WorkerWords.alloc()
        m.start(worker_main, workload, words, 1)
    for _ in range(300):
        m.audit()
    m.run(stop_load)


def stop_load():
    Control.on(0).stop.store(1)


def test_a_number_of_cycles(machine):
    """Instead of a time; the last batch is run to its end.  Any CPU may be down meanwhile."""
    result = Run(machine(3), hotplug(3, 1, cycles=40)).go()
    assert result.failures == []
    assert result.stats.cycles >= 40


def test_the_kernels_line():
    """online done/tried:offline done/tried, min,max of each, sums, in jiffies."""
    stats = Stats(up=Direction(3, 2, [1_000_000, 5_000_000]), down=Direction(1, 1, [2_000_000]))
    assert stats.line() == "onoff: 2/3:1/1 1,5:2,2 6:2 (HZ=1000)"
