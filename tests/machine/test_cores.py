"""Machines of one user find cores that none of them holds, whatever process they are in."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import socket
import subprocess
import sys

import pytest

from kemu import Machine
from kemu.errors import UsageError
from kemu.machine import cores, placement
from kemu.machine.cores import Cores
from kemu.machine.placement import Layout, place

numbers = itertools.count(1)

HOLDER = '''
import sys
from kemu.machine import cores
cores.PREFIX = sys.argv[1]
marks = cores.Cores()
print(*marks.take([0, 1], 1), flush=True)
sys.stdin.read()
'''


@pytest.fixture(autouse=True)
def names_of_its_own(monkeypatch):
    """Other machines on this host are not seen, and do not see these."""
    monkeypatch.setattr(cores, "PREFIX", f"kemu-test/{os.getpid()}/{next(numbers)}")


@pytest.fixture
def host(monkeypatch):
    """host(n): a host with n usable cores."""
    return lambda count: monkeypatch.setattr(placement, "usable_cores", lambda: list(range(count)))


@pytest.fixture
def taken():
    """taken(cpus): the placement of one more machine, which stays."""
    kept = []

    def more(cpus, wanted=None):
        kept.append(Cores())
        return place(cpus, wanted, kept[-1])

    yield more
    for marks in kept:
        marks.release()


def test_two_machines_of_one_cpu_get_two_cores(machine):
    """And a machine that is closed gives its core back."""
    if len(placement.usable_cores()) < 2:
        pytest.skip("needs two usable cores")
    first, second = machine(1), machine(1)
    assert first.placement != second.placement
    core = first.placement
    first.close()
    third = machine(1)
    assert (third.placement, third.cpu_views[0].sharers.load()) == (core, 1)


def test_two_processes_get_two_cores(taken, host):
    """They know nothing of each other; the core of one that is killed is free again."""
    host(3)
    with subprocess.Popen([sys.executable, "-c", HOLDER, cores.PREFIX], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "0\n"
        assert taken(1) == [1]
        other.kill()
    assert taken(1) == [0]


def test_a_fork_keeps_no_core(taken, host):
    """The core is free when the parent gives it back, while the child lives."""
    host(3)
    mine = Cores()
    assert place(1, None, mine) == [0]
    here, there = socket.socketpair()
    child = os.fork()
    if not child:
        here.close()
        there.send(b"forked")
        there.recv(1)
        os._exit(0)
    there.close()
    assert here.recv(6) == b"forked"
    assert taken(1) == [1]      # the child has not freed what its parent holds
    mine.release()
    assert taken(1) == [0]
    here.close()
    os.waitpid(child, 0)


def test_more_machines_than_cores_share(taken, host):
    """The cores that the fewest machines hold come first."""
    host(3)
    assert [taken(1)[0] for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_core_that_is_shared_is_not_free_when_its_first_machine_ends(host):
    """A mark of any place counts."""
    host(2)
    first, second, third, fourth = (Cores() for _ in range(4))
    assert [place(1, None, marks) for marks in (first, second, third)] == [[0], [1], [0]]
    first.release()
    second.release()
    assert place(1, None, fourth) == [1]
    assert fourth.others(1) == 0
    third.release()
    fourth.release()


def test_more_machines_than_places(taken, host):
    """They get cores all the same."""
    host(1)
    assert [taken(1) for _ in range(cores.PLACES + 2)] == [[0]] * (cores.PLACES + 2)


def test_64_cores_are_used_up(taken, host):
    """Machines of 4 CPUs find all 64 cores; the next one shares."""
    host(64)
    given = [core for _ in range(placement.machines_that_fit(4)) for core in taken(4)]
    assert sorted(given) == list(range(64))
    assert taken(4) == [0, 1, 2, 3]


def test_what_a_machine_shares(host):
    """A CPU on a core of another machine does not poll, nor does one that shares it within."""
    host(3)
    first, second = Cores(), Cores()
    place(2, [0, 0], first)
    assert place(3, [0, 1, 1], second) == [0, 1, 1]
    assert [second.others(core) for core in (0, 1)] == [1, 0]
    first.release()
    second.release()


def test_the_cpus_of_a_machine_know_it(machine):
    """The count is in the runqueue, where the idle loop reads it."""
    core = placement.usable_cores()[0]
    first, second = machine(1, placement=[core]), machine(2, placement=[core, core])
    assert [view.sharers.load() for m in (first, second) for view in m.cpu_views] == [1, 3, 3]


def test_a_machine_that_could_not_boot_holds_nothing(taken, host):
    """Also while the error is at hand."""
    host(1)
    with pytest.raises(UsageError, match="memory") as refused:
        Machine(1, memory=-1)
    marks = Cores()
    place(1, None, marks)
    assert (marks.others(0), refused.value.__traceback__ is None) == (0, False)
    marks.release()


def test_a_machine_that_is_forgotten_holds_nothing(host):
    """Its marks go with it."""
    host(1)
    forgotten, marks = Cores(), Cores()
    place(1, None, forgotten)
    del forgotten
    gc.collect()
    place(1, None, marks)
    assert marks.others(0) == 0
    marks.release()


@pytest.mark.parametrize("refused", [errno.EPERM, errno.EMFILE, errno.EAFNOSUPPORT])
def test_a_host_that_refuses(taken, host, monkeypatch, refused):
    """Each machine takes the first cores, as if it were alone."""
    def refuse(*args):
        raise OSError(refused, "refused")

    host(2)
    monkeypatch.setattr(socket, "socket", refuse)
    assert [taken(1), taken(3), taken(2, [1, 1])] == [[0], [0, 1, 0], [1, 1]]


def test_layout(taken, host):
    """CPUs with one number share a core; with too few cores, numbers share too."""
    host(3)
    assert taken(3, Layout((4, 7, 4))) == [0, 1, 0]
    assert taken(3, Layout((4, 7, 4)).within(1)) == [2, 2, 2]
    assert taken(4, Layout((0, 1, 2, 3))) == [0, 1, 2, 0]
