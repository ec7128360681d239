"""A cycle of waits is found when it forms; what only looks like one is not."""

from __future__ import annotations

import pytest

from kemu import KernelHang
from kemu.kernel.hotplug.cpu import cpu_down
from kemu.kernel.hotplug.cpuhp import CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.memory.struct import Embedded, PerCPU


class Pair(PerCPU):
    """Of CPU 0: two locks, and who holds his first tells the other."""

    one = Embedded(Mutex)
    two = Embedded(Mutex)
    one_held = Embedded(Completion)
    two_held = Embedded(Completion)


def take(first: str, second: str) -> None:
    pair = Pair.on(0)
    with getattr(pair, first):
        complete(getattr(pair, first + "_held"))
        wait_for_completion(getattr(pair, second + "_held"))
        with getattr(pair, second):
            pass


def test_two_mutexes_in_opposite_orders(machine):
    """AB and BA: reported at once, with the names."""
    m = machine(2)
    other = m.start(take, "two", "one", cpu=1)
    with pytest.raises(KernelHang, match="take waits for take"):
        m.run(take, "one", "two")
    with pytest.raises(KernelHang):
        other.result()


def reads_hotplug_lock(cpu: int) -> int:
    with cpus_read():
        return 0


def test_hotplug_lock_in_a_callback(machine):
    """cpus_read_lock() in a teardown: the writer waits for the thread that waits for it."""
    m = machine(2)
    m.run(cpuhp_setup_state, CpuhpState.CPUHP_AP_ONLINE_DYN, "reads", None, reads_hotplug_lock)
    with pytest.raises(KernelHang, match="cpuhp/1 waits for cpu_down waits for cpuhp/1"):
        m.run(cpu_down, 1)


def contend(rounds: int) -> int:
    pair = Pair.on(0)
    for _ in range(rounds):
        with pair.one, pair.two:
            pass
    return rounds


def test_contention_is_no_cycle(machine):
    """Four tasks, always in the same order: an edge that is out of date is no edge."""
    m = machine(4)
    handles = [m.start(contend, 200, cpu=cpu) for cpu in range(4)]
    assert [handle.result() for handle in handles] == [200] * 4


def goes_down(number: int) -> int:
    return cpu_down(number)


def test_hotplug_from_a_callback_that_registers(machine):
    """Who registers holds the hotplug lock, and waits for the callback, which wants it for writing."""
    with pytest.raises(KernelHang, match="percpu_down_write"):
        machine(2).run(cpuhp_setup_state, CpuhpState.CPUHP_AP_ONLINE_DYN, "odd", goes_down, None)
