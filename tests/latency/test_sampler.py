"""Real samples between two cores of this host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from kemu import native
from kemu.cli.latency import latency
from kemu.errors import UsageError
from kemu.latency.measures import MEASURES
from kemu.latency.report import notes
from kemu.latency.sampler import Plan, measure_pairs
from kemu.machine.placement import usable_cores

CORES = (usable_cores() * 2)[:2]
PAIR = (CORES[0], CORES[1])
two_cores = pytest.mark.skipif(CORES[0] == CORES[1], reason="needs two host cores")


def run_once(**plan):
    (run,) = measure_pairs([PAIR], Plan(seconds=.01, **plan))
    return run


def test_every_measure_takes_samples():
    """And each is longer than nothing."""
    run = run_once()
    assert set(run.series) == set(MEASURES)
    assert all(one.count and one.percentile(50) > 1 for one in run.series.values())
    assert run.overhead_ns > 0


@pytest.mark.parametrize("cores", [PAIR, (CORES[0], CORES[0])])
def test_sleeping_and_sharing(cores):
    """Without polling, and with both CPUs on one core."""
    (run,) = measure_pairs([cores], Plan(seconds=.01, poll_us=0, measures=("wakeup", "completion")))
    assert all(one.count for one in run.series.values())


def test_breaktrace_ends_at_the_sample():
    """The trace is kept, and its last series says that it broke the limit."""
    run = run_once(breaktrace_us=.001, measures=("unpark", "park"))
    assert run.broke is run.series["unpark"]
    assert run.broke.last > 1
    assert any(event.subject.startswith("worker") for event in run.trace.events)


def test_interval_counts_what_began_late():
    """With an interval of one microsecond nearly every sample is late."""
    run = run_once(interval_us=1, measures=("roundtrip",))
    assert run.series["roundtrip"].late > 0


@two_cores
@pytest.mark.parametrize("sleeping", [False, True])
def test_the_floor(sleeping):
    """Bare hand-overs: as many as wanted, or fewer when the time is up."""
    assert len(native.handover(*PAIR, 50, 10**10, sleeping)) == 50
    assert len(native.handover(*PAIR, 1_000_000, 1_000_000, sleeping)) < 1_000_000


@pytest.mark.parametrize("words", [(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 10**9, 1), (0, 1, 1, 10**18),
                                   (-1, 1, 1, 1), (10**6, 1, 1, 1)])
def test_a_floor_that_cannot_be(words):
    """Is refused."""
    with pytest.raises(UsageError):
        native.handover(*words, False)


def test_a_core_that_is_not_there():
    """The host says so, and both threads have ended."""
    before = threading.active_count()
    with pytest.raises(OSError, match="Invalid argument"):
        native.handover(CORES[0], 65_000, 10, 10**9, False)
    assert threading.active_count() == before


def test_a_core_that_another_machine_holds_is_told(machine):
    """Its CPUs do not poll, so the report says whose times these are."""
    machine(1, placement=[PAIR[0]])
    run = run_once(measures=("ipi",))
    assert PAIR[0] in run.crowded
    assert any("do not poll" in note for note in notes(run, 0))


def test_json_and_compare(tmp_path):
    """A saved run is compared with the next."""
    file = str(tmp_path / "run.json")
    args = ["--duration", "0.05", "--measure", "ipi", "--json", file]
    first = CliRunner().invoke(latency, args)
    assert first.exit_code == 0, first.output
    assert json.loads((tmp_path / "run.json").read_text())["series"][0]["measure"] == "ipi"
    second = CliRunner().invoke(latency, [*args[:-2], "--compare", file])
    assert second.exit_code == 0, second.output
    assert "times the saved run" in second.output


def test_ctrl_c_keeps_the_results():
    """It exits with 130, and prints and writes what was measured."""
    code = "import kemu.cli; print('ready', flush=True); kemu.cli.main()"
    args = ["latency", "--duration", "600", "--measure", "ipi", "--json", "-"]
    with subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as child:
        assert child.stdout.readline() == "ready\n"
        for line in child.stderr:       # a progress line: samples have been taken
            if "pair 1 of 1" in line:
                break
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    said = json.loads(out)
    assert said["interrupted"]
    assert said["series"][0]["n"] > 0
