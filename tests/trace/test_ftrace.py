"""ftrace text: the form of the kernel's lines, which Perfetto reads."""

from __future__ import annotations

import re

import pytest

from kemu import native
from kemu.kernel import kthread
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpState
from kemu.trace import events as ev
from kemu.trace import ftrace
from kemu.trace.reader import Event, Trace

# The line that Perfetto's importer of ftrace text accepts.
IMPORTER = re.compile(r"-(\d+)\s+\(?\s*(\d+|-+)?\)?\s?\[(\d+)\]\s*([a-zA-Z.]{3}[0-9a-f.]{1,2}\s*)?"
                      r"(\d+\.\d+):\s+(\S+):")

# Those of kemu that include/trace/events/{sched,cpuhp}.h have, and ftrace's own for a marker.
LINUX_EVENTS = {
    "sched_switch", "sched_waking", "sched_wakeup", "sched_wakeup_new", "sched_migrate_task",
    "sched_wait_task", "sched_kthread_stop", "sched_kthread_stop_ret", "sched_process_exit",
    "cpuhp_enter", "cpuhp_exit", "tracing_mark_write"}


def switch(state: int) -> Event:
    return Event(100_000_123_000, ev.SCHED_SWITCH, 0, 18, "migration/0", 0, "swapper/0", state, 0, 120)


@pytest.mark.parametrize(("state", "letters"), [
    (0, "R"), (1, "S"), (2, "D"), (512, "P"), (64, "x"), (1024, "R+"), (512 + 1024, "P+"),
    (2 + 128, "D|K")])
def test_sched_switch(state, letters):
    """State letters as in Linux 3.9, + for preempted."""
    assert ftrace.line(switch(state)) == (
        "     migration/0-18    [000]   100.000123: sched_switch: prev_comm=migration/0 prev_pid=18 "
        f"prev_prio=0 prev_state={letters} ==> next_comm=swapper/0 next_pid=0 next_prio=120")


@pytest.mark.parametrize(("state", "name"), [
    (0, "R (running)"), (2, "D (disk sleep)"), (512, "P (parked)"), (256, "W (waking)")])
def test_state_names(state, name):
    """As /proc/PID/status says it."""
    assert ev.state_name(state) == name


def park_and_stop() -> int:
    k = kthread.kthread_create_on_cpu(lambda data: 3, None, 1, "worker/%u")
    return kthread.kthread_stop(k)


def test_a_real_trace_reads(machine):
    """Every line of a recorded trace is one that an importer accepts; times do not go back."""
    m = machine(2, trace=True)
    m.run(park_and_stop)
    text = ftrace.text(m.trace())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(map(IMPORTER.search, lines))
    times = [float(re.search(r"(\d+\.\d+): ", line).group(1)) for line in lines]
    assert times == sorted(times)
    assert {"sched_kthread_stop", "kthread_park", "sched_migrate_task"} <= {
        e.name for e in m.trace().events}


def down_and_up() -> None:
    cpu_down(1)
    cpu_up(1)


def test_cpuhp_events(machine):
    """As in Linux 4.13: the exit names the step of the enter before it, and the CPU's state."""
    m = machine(2, trace=True)
    m.run(down_and_up)
    nr = 0
    entered: dict[int, str] = {}        # by task: the step that it runs
    for e in m.trace().events:
        said = ftrace.arguments(e)
        if e.id == ev.CPUHP_ENTER:
            entered[e.pid] = re.fullmatch(r"cpu: 0001 target: +\d+ step: +(\d+)", said).group(1)
        elif e.id == ev.CPUHP_EXIT:
            left = re.fullmatch(r" cpu: 0001  state: +(\d+) step: +(\d+) ret: 0", said)
            assert left and left[2] == entered.pop(e.pid)
            assert int(left[1]) <= CpuhpState.CPUHP_ONLINE
            nr += 1
    assert nr and not entered


def test_sched_wakeup_has_no_success():
    """Linux 4.13 prints none: `success=` was printed up to 4.2."""
    e = Event(0, ev.SCHED_WAKEUP, 0, 1, "waker", 18, "migration/0", 0, 3, 0)
    assert ftrace.arguments(e) == "comm=migration/0 pid=18 prio=0 target_cpu=003"


def test_perfetto_opens_the_text():
    """Perfetto takes a file for a systrace if it begins so."""
    assert ftrace.text(Trace([], {})).startswith("# tracer")


def test_linux_has_the_events_that_are_said_to_be_its():
    """An event has a name of Linux, or one that no event of Linux has."""
    linux = {name for name in ev.NAMES.values() if name.startswith(("sched_", "cpuhp_"))}
    assert linux <= LINUX_EVENTS
    assert not (set(ev.NAMES.values()) - linux) & LINUX_EVENTS


def test_lost_events_are_said():
    """A ring that was overwritten says so in its head."""
    assert "# CPU 3: 9 events lost" in ftrace.text(Trace([], {3: 9}))


def test_the_hardware_writes_the_same_numbers():
    """Events that are written in C have the numbers of the table."""
    for name in [name for name in native.__all__ if name.startswith("EVENT_")]:
        assert getattr(native, name) == getattr(ev, name.removeprefix("EVENT_"))
