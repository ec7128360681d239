"""Whatever dies, whenever it dies: an error that names it, and nothing left behind."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kemu import Machine, native
from kemu.errors import MachineError, UsageError
from kemu.kernel import kthread
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched import cpu_relax
from kemu.machine import helper_link
from kemu.memory import current_memory
from tests.leaks import PATIENCE

PROGRAMS = Path(__file__).parent / "programs"


def double(n):
    return 2 * n


def spin():
    while True:
        cpu_relax()


def sleeper(_):
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
        cpu_relax()


def park_for_ever(cpu):
    """Load: a thread of that CPU is parked and unparked, by way of every lock there is."""
    k = kthread.kthread_create_on_cpu(sleeper, None, cpu, "load/%u")
    while True:
        kthread.kthread_unpark(k)
        kthread.kthread_park(k)


def complete_for_ever(x):
    while True:
        complete(x)
        cpu_relax()


def wait_for_ever(x):
    while True:
        wait_for_completion(x)


def run_program(name, *arguments, stdin=None):
    """A program to its end; what it printed."""
    return subprocess.run([sys.executable, *arguments, *([PROGRAMS / name] if name else [])],
                          input=stdin, capture_output=True, text=True, timeout=60, check=True).stdout


def start_program(name):
    return subprocess.Popen([sys.executable, PROGRAMS / name], stdout=subprocess.PIPE, text=True)


def alive(pids):
    """Those that still run; one that nobody has reaped yet is dead."""
    return [pid for pid in pids if psutil.pid_exists(pid)
            and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def left_of(pids):
    """Those that still run after all have had time to go."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            if not alive(pids):
                return []
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.005)
    return alive(pids)


def test_without_guard():
    """A script needs no __main__ guard."""
    assert run_program("no_guard.py") == "42\n"


def test_from_standard_input():
    """A program piped into the interpreter works, as one typed into it does."""
    assert run_program("", "-", stdin=(PROGRAMS / "no_guard.py").read_text()) == "42\n"


def test_from_the_command_line():
    """So does one given with -c."""
    assert run_program("", "-c", (PROGRAMS / "no_guard.py").read_text()) == "42\n"


def test_fork():
    """A fork neither uses nor hurts its parent's machine, and can boot its own."""
    assert run_program("fork.py") == "0 42\n"


def test_exit_without_close():
    """The end of the interpreter takes the machine down."""
    assert left_of(json.loads(run_program("not_closed.py"))) == []


def ended(program, how):
    """Send a busy program a signal once its task runs; its output, and the processes that are left."""
    with start_program("busy.py") as process:
        who = json.loads(process.stdout.readline())
        assert json.loads(process.stdout.readline())["console"] == "[cpu1 spin] spinning"
        process.send_signal(how)
        said = process.stdout.read()
    return said, left_of([who["helper"], *who["cpus"]])


def test_kill_controller():
    """When the controller is killed, the helper and every CPU go."""
    assert ended("busy.py", signal.SIGKILL) == ("", [])


def test_terminate_controller():
    """So they do when it is terminated."""
    assert ended("busy.py", signal.SIGTERM) == ("", [])


def test_interrupt():
    """Ctrl-C ends m.run() with KeyboardInterrupt, and leaves nothing."""
    assert ended("busy.py", signal.SIGINT) == ('{"interrupted": true}\n', [])


@pytest.mark.parametrize("cpu", range(2))
def test_kill_cpu(machine, cpu):
    """A killed CPU is named, whichever it is and wherever the task was."""
    m = machine(2)
    handle = m.start(spin, cpu=1)
    psutil.Process(m.pids[cpu]).kill()
    with pytest.raises(MachineError, match=f"the process of CPU {cpu} died by signal 9"):
        handle.result()


def test_kill_idle_cpu(machine):
    """An idle machine notices too."""
    m = machine(3)
    psutil.Process(m.pids[2]).kill()
    with pytest.raises(MachineError, match="CPU 2 died"):
        m.start(wait_for_completion, m.run(Completion.alloc)).result()


@pytest.mark.parametrize("trial", range(30))
def test_kill_cpu_under_load(trial, record_property):
    """A CPU killed at any moment, whatever lock it holds, is named at once."""
    chance = random.Random(trial)
    victim = chance.randrange(3)
    with Machine(3) as m:
        x = m.run(Completion.alloc)
        handles = [m.start(park_for_ever, (cpu + 1) % 3, cpu=cpu) for cpu in range(3)]
        handles += [m.start(complete_for_ever, x, cpu=0), m.start(wait_for_ever, x, cpu=1)]
        time.sleep(chance.uniform(0, 0.05))
        began = time.perf_counter()
        psutil.Process(m.pids[victim]).kill()
        with pytest.raises(MachineError, match=f"the process of CPU {victim} died"):
            handles[0].result()
        record_property("noticed_after_ms", round((time.perf_counter() - began) * 1e3, 2))


def test_kill_helper(machine):
    """When the helper is killed, the machine fails, and says so."""
    m = machine(2)
    handle = m.start(spin, cpu=1)
    helper_link.the_helper().process.kill()
    with pytest.raises(MachineError, match="helper"):
        handle.result()


def test_kill_helper_leaves_no_cpu(machine):
    """The CPUs die with the helper."""
    m = machine(2)
    helper_link.the_helper().process.kill()
    assert left_of(m.pids.values()) == []


def test_boot_after_helper(machine):
    """The next boot starts another helper."""
    machine(2)
    helper = helper_link.the_helper().process      # asked for again, it may be the next one already
    helper.kill()
    helper.wait()
    assert machine(2).run(double, 21, cpu=1) == 42


def test_other_machine_lives(machine):
    """If a CPU of one machine is killed, another machine goes on."""
    one, other = machine(2), machine(2)
    psutil.Process(one.pids[1]).kill()
    with pytest.raises(MachineError):
        one.start(spin).result()
    assert other.run(double, 21) == 42


def test_stopped_cpu(machine):
    """A CPU that does not answer does not keep the machine from closing."""
    m = machine(2)
    psutil.Process(m.pids[1]).suspend()
    m.close()
    assert left_of(m.pids.values()) == []


def wild_offset():
    native.Word(current_memory.get(), 1 << 60)


def test_wild_offset(machine):
    """No call from Python crashes a CPU: a wild offset is an error."""
    m = machine(2)
    with pytest.raises(UsageError, match="offset"):
        m.run(wild_offset)
    assert m.run(double, 21) == 42
