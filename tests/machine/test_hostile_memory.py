"""If a machine's memory is overwritten, its calls end and other machines go on."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from kemu import MachineError, native
from kemu.machine import helper_link
from kemu.memory.damage import damage
from kemu.memory.views import Cpu, Header, Task
from tests.machine import hostile
from tests.machine.hostile import nothing


@pytest.mark.parametrize("seed", range(9))
def test_every_call_ends(machine, seed):
    """Words, fields and headers are written over; a machine beside it runs on."""
    healthy = machine()
    hostile.run(seed)
    assert healthy.run(nothing) == 1


def overwrite(m, *words):
    for word, value in words:
        word.store(value)


@pytest.mark.parametrize(("place", "name", "value"), [
    ("header", "nr_cpus", 1 << 60), ("header", "cpus", 8), ("header", "online_mask", -1),
    ("cpu", "curr", 1 << 40), ("cpu", "id", 7), ("task", "sched_class", 9), ("task", "home", -1)])
def test_damage_is_named(machine, place, name, value):
    """A word that no sound memory has is found, and the error of each call names it."""
    m = machine()
    assert damage(m.memory) == ""
    views = {"header": Header(m.memory), "cpu": Cpu(m.memory, 1), "task": Task(m.memory, 1)}
    getattr(views[place], name).store(value)
    with pytest.raises(MachineError, match=f"memory of this machine is damaged: .*{name} is"):
        m.check_memory()
    for call in (lambda: m.run(nothing), lambda: m.start(nothing), m.audit):
        with pytest.raises(MachineError, match="is damaged"):
            call()
    assert "the shared memory is damaged" in m.report()


def test_report_of_a_circle(machine):
    """A list that links itself does not keep a report, nor the helper, from its end."""
    m, healthy = machine(), machine()
    cpu = Cpu(m.memory, 1)
    for name in ("fair_next", "timer_next", "call_next"):
        native.Word(m.memory, m.memory.cpus + native.CPU["sizeof"] + native.CPU[name]).store(3)
    os.kill(m.pids[1], signal.SIGKILL)
    with pytest.raises(MachineError, match="died by signal 9"):
        m.start(nothing, cpu=1).result()
    assert "cpu" in m.report() and cpu.cpu == 1
    assert healthy.run(nothing) == 1


def test_lock_of_the_heap_that_is_never_freed(machine):
    """A call that needs the heap ends with an error that names the lock."""
    m = machine()
    Header(m.memory).heap_lock.store(-1)
    with pytest.raises(MachineError, match="held a lock of the shared memory's allocators"):
        m.run(nothing)


def waits_for_ever():
    native.wait_turn()


def test_close_beside_a_stopped_helper(machine):
    """close() needs nothing of the helper, nor of a task whose wait never ends."""
    m = machine()
    m.start(waits_for_ever, cpu=1)
    helper = psutil.Process(helper_link.the_helper().process.pid)
    pids = list(m.pids.values())
    helper.suspend()
    try:
        m.close()
        assert all(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)
    finally:
        helper.resume()


def test_stopped_helper_goes_with_the_controller():
    """A helper that is stopped does not outlive the controller, and nor do its CPUs."""
    from tests.machine.test_crash import left_of, start_program
    import json

    with start_program("busy.py") as process:
        who = json.loads(process.stdout.readline())
        psutil.Process(who["helper"]).suspend()
        process.kill()
    assert left_of([who["helper"], *who["cpus"]]) == []
