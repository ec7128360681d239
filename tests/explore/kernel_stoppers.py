"""The fixed kernel: stop_two_cpus() beside stop_one_cpu() beside cpu_down() of one of the CPUs."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.stop_machine import stop_two_cpus

race = kemu.Race("kernel-stoppers", cpus=3)
ENOENT = -2


class Calls(kemu.PerCPU):
    """Of CPU 0: how often each function ran, and what its caller got."""

    two = kemu.Word()
    one = kemu.Word()
    two_returned = kemu.Word()
    one_returned = kemu.Word()


def of_two(arg: int) -> int:
    Calls.on(0).two.add(1)
    return 0


def of_one(arg: int) -> int:
    Calls.on(0).one.add(1)
    return 0


@race.actor(cpu=0)
def pair(t: Trial) -> None:
    with t.window():
        Calls.on(0).two_returned.store(stop_two_cpus(1, 2, of_two))


@race.actor(cpu=2)
def single(t: Trial) -> None:
    with t.window():
        Calls.on(0).one_returned.store(stop_one_cpu(1, of_one))


@race.actor(cpu=0)
def downer(t: Trial) -> None:
    with t.window():
        cpu_down(1)


@race.postcondition
def each_ran_once_or_was_refused(t: Trial) -> None:
    calls = Calls.on(0)
    assert not cpu_online(1), "CPU1 is online"
    for ran, returned in ((calls.two, calls.two_returned), (calls.one, calls.one_returned)):
        assert (ran.load(), returned.load()) in ((1, 0), (0, ENOENT)), \
            f"it ran {ran.load()} times, and returned {returned.load()}"


@race.conclude
def bring_up(t: Trial) -> None:
    cpu_up(1)
