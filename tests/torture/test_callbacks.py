"""The workloads of callbacks: a kernel that keeps its promises passes, and one that breaks one does not."""

from __future__ import annotations

import pytest

from kemu.kernel import cpu_stop, stop_machine
from kemu.kernel.hotplug import cpuhp_setup
from kemu.kernel.sched.completion import complete
from kemu.kernel.v2_6.cpu import cpu_down
from kemu.kernel.v2_6.notifier import CPU_DEAD, CPU_ONLINE, notifier_call_chain
from kemu.machine.override import make_override, original_of
from kemu.torture import callbacks
from kemu.torture.worker import Turn, Worker


class Rounds(Turn):
    """So many rounds, then no more."""

    def __init__(self, rounds):
        super().__init__(Worker.alloc(), 1)
        self.left = rounds

    def going(self):
        self.left -= 1
        return self.left >= 0


def work(name):
    getattr(callbacks, name)(Rounds(6))


def work_while_a_cpu_goes(name):
    """The CPU goes down while the notifier is registered."""
    register = callbacks.register_cpu_notifier

    def registers(call):
        register(call)
        cpu_down(1)

    callbacks.register_cpu_notifier = registers
    try:
        work(name)
    finally:
        callbacks.register_cpu_notifier = register


@pytest.mark.parametrize(("kernel", "name"), [
    ("4.13", "states"), ("4.13", "nowait"), ("4.13", "herd"), ("2.6.6", "notifier")])
def test_a_whole_kernel_keeps_its_promises(machine, kernel, name):
    """Six rounds, a refused registration among them."""
    machine(2, kernel=kernel).run(work, name)


def of_no_cpu(state):
    return []


def tells_the_opposite(action, cpu, nr_to_call=-1):
    opposite = {CPU_ONLINE: CPU_DEAD, CPU_DEAD: CPU_ONLINE}
    return original_of(notifier_call_chain)(opposite.get(action, action), cpu, nr_to_call)


def runs_and_refuses(cpu, fn, arg, work_buf):
    complete(callbacks.Nowait.at(callbacks.system.memory, arg).ran)
    return False


def runs_nowhere(mask, fn, arg=0):
    return 0


@pytest.mark.parametrize(("kernel", "name", "target", "wrong", "said"), [
    ("4.13", "states", cpuhp_setup._cpus_past, of_no_cpu, "startups less teardowns"),
    ("2.6.6", "notifier", notifier_call_chain, tells_the_opposite, "was last said to be up"),
    ("4.13", "nowait", cpu_stop.stop_one_cpu_nowait, runs_and_refuses, "was refused and ran"),
    ("4.13", "herd", stop_machine.try_stop_cpus, runs_nowhere, "0 of 2 CPUs ran the function")],
    ids=["states", "notifier", "nowait", "herd"])
def test_a_broken_promise_is_noticed(machine, kernel, name, target, wrong, said):
    """The workload asserts it, and says what it saw."""
    m = machine(2, kernel=kernel, overrides=[make_override(target, wrong)])
    with pytest.raises(AssertionError, match=said):
        m.run(work_while_a_cpu_goes if kernel == "2.6.6" else work, name)
