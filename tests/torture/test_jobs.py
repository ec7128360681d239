"""Several machines side by side, the folder that a failure leaves, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from kemu.cli.torture import torture
from kemu.errors import UsageError
from kemu.exits import Exit
from kemu.machine import placement
from kemu.torture.bundle import write_bundle
from kemu.torture.jobs import Jobs, merge
from kemu.torture.onoff import Direction, Stats
from kemu.torture.run import Plan, Result

MINE = '''
from kemu.kernel import sched
from kemu.memory.struct import PerCPU, Word
from kemu.torture import invariant, workload

class Account(PerCPU, keep=True):
    a = Word()
    b = Word()

@workload
def moves(t):
    """Moves one from a to b, without a lock."""
    account = Account.on(0)
    while t.going():
        account.a.add(-1)
        sched.cond_resched()
        account.b.add(1)
        t.did()

@invariant
def nothing_is_lost():
    total = Account.on(0).a.load() + Account.on(0).b.load()
    assert total == 0, f"{total} on the account"
'''


@pytest.mark.parametrize(("cores", "machines", "cpus", "each"), [
    (4, 2, 2, 2), (5, 2, 4, 2), (2, 3, 2, 1), (1, 1, 3, 1), (64, 16, 4, 4)])
def test_share(monkeypatch, cores, machines, cpus, each):
    """Cores are dealt out; what is left over stays idle; with too few, machines share."""
    monkeypatch.setattr(placement, "usable_cores", lambda: list(range(cores)))
    assert placement.share(machines, cpus) == each


def test_merge_adds_up():
    """Counts, times and failures of all machines."""
    one = Result(Stats(Direction(2, 2, [1]), Direction(2, 2, [1])), {"park": 3}, 1, 2.0)
    other = Result(Stats(Direction(1, 1, [1])), {"park": 4, "stop": 1}, 2, 3.0, ["broken"], "report")
    whole = merge([one, other])
    assert (whole.stats.up.ok, whole.audits, whole.seconds) == (3, 3, 3.0)
    assert whole.rounds == {"park": 7, "stop": 1}
    assert (whole.failures, whole.report) == (["broken"], "report")


def test_two_machines():
    """They run at once, and both count."""
    result = Jobs(Plan(cpus=1, seconds=.5, mix=("park",)), 2).go()
    assert result.failures == []
    assert result.rounds["park"] > 0


def test_a_plan_that_cannot_be_is_refused_before_a_machine_boots():
    """In the caller's thread."""
    with pytest.raises(UsageError, match="no workload"):
        Jobs(Plan(mix=("nothing",)), 2)


def test_bundle(tmp_path):
    """All the files, and a second bundle beside the first."""
    result = Result(failures=["it broke", "twice"], report="the report")
    first = write_bundle(tmp_path / "b", result, "kemu torture", {"seed": 1})
    names = {path.name for path in first.iterdir()}
    assert names == {"command.txt", "plan.json", "failure.txt", "report.txt"}
    assert json.loads((first / "plan.json").read_text()) == {"seed": 1}
    assert write_bundle(tmp_path / "b", result, "", {}).name == "b-2"


def run(tmp_path, *args, **more):
    return CliRunner().invoke(torture, [*args, "--bundle", str(tmp_path / "bundle")], **more,
                              standalone_mode=False)


def test_success(tmp_path):
    """Exit status 0, and the kernel's last line."""
    done = run(tmp_path, "--duration", "3", "--cpus", "2", "--mix", "park,hotplug", "--json",
               str(tmp_path / "json"))
    assert done.return_value is Exit.EXPECTED, done.output
    assert "--- End of test: SUCCESS: kernel=4.13" in done.output
    said = json.loads((tmp_path / "json").read_text())
    assert (said["failures"], said["rounds"]["park"] > 0) == ([], True)
    assert (said["hotplug"], said["onoff"]["up"][0] > 0, said["cycles"] > 0) == (True, True, True)
    assert not (tmp_path / "bundle").exists()


def test_a_file_of_the_users_own(tmp_path):
    """Its workload runs beside the mix, its invariant is checked, and the failure leaves a bundle."""
    (tmp_path / "mine.py").write_text(MINE)
    done = run(tmp_path, str(tmp_path / "mine.py"), "--mix", "affinity,affinity", "--cpus", "2",
               "--duration", "60")
    assert done.return_value is Exit.UNEXPECTED, done.output
    assert "!!! nothing_is_lost:" in done.output
    assert "on the account" in (tmp_path / "bundle" / "failure.txt").read_text()
    assert " runs" in (tmp_path / "bundle" / "diagram.txt").read_text()
    assert "moves" in (tmp_path / "bundle" / "report.txt").read_text()


@pytest.mark.parametrize("where", ["workload", "invariant"])
def test_a_file_that_raises_fails_the_run(tmp_path, where):
    """An exception in a task is a failure, with its traceback in the bundle, and never a success."""
    (tmp_path / "mine.py").write_text(f"""
from kemu.torture import {where}

@{where}
def raises(*args):
    raise RuntimeError("of the user's own")
""")
    done = run(tmp_path, str(tmp_path / "mine.py"), "--mix", "park", "--cpus", "2", "--duration", "60")
    assert done.return_value is Exit.UNEXPECTED, done.output
    assert "!!! a task raised RuntimeError: of the user's own" in done.output
    assert "in raises" in (tmp_path / "bundle" / "report.txt").read_text()


@pytest.mark.parametrize(("race", "args", "what"), [
    ("unpark-wrong-cpu", "--mix wakers,wakers,hotplug --cpus 3", "wrong CPU"),
    ("stale-is-parked", "--mix repark,hotplug --cpus 2", "S21: "),
    ("stop-class-while-queued", "--mix register,hotplug --cpus 2", "S43: "),
    ("stop-of-parked", "--mix create,create,hotplug --cpus 2", "S31: "),
    ("bind-loses-mask", "--mix bind,bind,hotplug --cpus 3", "S30: "),
    ("stopper-enabled-late", "--mix roam,roam,hotplug --cpus 3", "S9: "),
    ("exec-deadlocks-flush", "--mix helpers,flush,hotplug --cpus 2 --kernel 2.6.6", "a cycle of waits"),
    ("exec-deadlocks-cpu-up", "--mix helpers,flush,hotplug --cpus 2 --kernel 2.6.6", "a cycle of waits")])
def test_a_reverted_fix_is_found(tmp_path, race, args, what):
    """The kernel before the fix fails under torture, and the failure names what broke."""
    done = run(tmp_path, "--revert", race, "--jitter", "--duration", "60", *args.split())
    assert done.return_value is Exit.UNEXPECTED, done.output
    assert f"revert={race}" in done.output
    assert what in (tmp_path / "bundle" / "failure.txt").read_text()


@pytest.mark.parametrize(("args", "what"), [
    (["--revert", "no-such"], "no race"), (["--revert", "lost-wakeup"], "not in the kernel"),
    (["--revert", "exec-dest-dies"], "--kernel 2.6.6"), (["--mix", "x"], "no workload"),
    (["--mix", ""], "no workload"), (["nothing.py"], "no such file"),
    (["--kernel", "2.6.6", "--mix", "register"], "needs kernel 4.13")])
def test_misuse(tmp_path, args, what):
    """The error comes before anything runs, and says what to do."""
    done = run(tmp_path, *args)
    assert isinstance(done.exception, UsageError)
    assert what in str(done.exception)


def test_ctrl_c():
    """Exit status 130, with what was counted."""
    code = ("import sys; from kemu.cli import main; sys.argv = ['kemu', 'torture', '--duration', '600', "
            "'--cpus', '2', '--mix', 'park']; print('ready', flush=True); main()")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as child:
        assert child.stdout.readline() == "ready\n"
        for line in child.stderr:           # a progress line: something was counted
            if "park" in line:
                break
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=90)
    assert child.returncode == 130
    assert "--- End of test: INTERRUPTED" in out
