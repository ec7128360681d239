"""A machine that nobody closes and nobody holds."""

from __future__ import annotations

import gc
import weakref

import psutil

from kemu import Machine


def test_forgotten_machine_ends():
    """When the last reference goes, so do its CPUs."""
    machine = Machine(2)
    pids, gone = list(machine.pids.values()), weakref.ref(machine)
    del machine
    gc.collect()
    assert gone() is None
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 20)
    assert not alive
