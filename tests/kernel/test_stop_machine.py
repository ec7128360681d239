"""Stoppers, and CPUs stopped together."""

from __future__ import annotations

from errno import ENOENT

import pytest

from kemu import UsageError
from kemu.errors import KernelBug
from kemu.kernel import sched
from kemu.kernel.cpu_stop import (CpuStopper, CpuStopWork, cpu_stop_queue_work, stop_one_cpu,
                                  stop_one_cpu_nowait)
from kemu.kernel.hotplug.audit import audit_hotplug
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.kthread import kthread_create
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched.policy import sched_set_stop_task
from kemu.kernel.sched.runqueue import RT, STOP
from kemu.kernel.stop_machine import (StopCpus, stop_cpus, stop_machine, stop_machine_from_inactive_cpu,
                                      stop_two_cpus, try_stop_cpus)
from kemu.machine.override import make_override, original_of
from kemu.memory.struct import PerCPU, Word
from kemu.native import irqs_disabled, preempt_count
from tests.kernel.threads import Shared, blocks_at_rest


class Seen(PerCPU):
    """What a stop function found on its CPU."""

    runs = Word()
    atomic = Word()
    irqs_off = Word()


def look(arg: int) -> int:
    seen = Seen.this_cpu()
    seen.runs.add(1)
    seen.atomic.store(preempt_count())
    seen.irqs_off.store(int(irqs_disabled()))
    return 10 * sched.smp_processor_id() + arg


def runs_by_cpu(cpus: int) -> list[int]:
    return [Seen.on(cpu).runs.load() for cpu in range(cpus)]


@pytest.mark.parametrize("cpu", [0, 1, 2])
def test_stop_one_cpu_runs_there(machine, cpu):
    """stop_one_cpu() runs the function on that CPU, and returns what it returns."""
    assert machine(3).run(stop_one_cpu, cpu, look, 5) == 10 * cpu + 5


def test_stop_function_is_atomic(machine):
    """A stop function runs with preemption off."""
    m = machine(2)
    m.run(stop_one_cpu, 1, look)
    with m.looking():
        assert Seen.on(1).atomic.load() == 1


def nothing(arg: object) -> int:
    return 0


def argument(arg: object) -> int:
    assert arg == {"any": ["thing"]}
    return 1


def test_stop_function_takes_any_argument(machine):
    """The argument is copied to the CPU."""
    assert machine(2).run(stop_one_cpu, 1, argument, {"any": ["thing"]}) == 1


def blocks_of_stops() -> tuple[int, int]:
    """In use after one stop of each kind, and after three more."""
    found = []
    for stops in (1, 3):
        for _ in range(stops):
            stop_one_cpu(1, argument, {"any": ["thing"]})
            stop_machine(argument, {"any": ["thing"]})
        found.append(blocks_at_rest())
    return found[0], found[1]


def test_an_argument_is_freed(machine):
    """A stop that has run leaves no block of the heap."""
    first, last = machine(2).run(blocks_of_stops)
    assert last == first


class Queueing(PerCPU):
    """Of each CPU: whether a stop_cpus() was under way when its work was queued."""

    in_progress = Word()


def queue_and_note(cpu: int, work: CpuStopWork) -> bool:
    Queueing.on(cpu).in_progress.store(StopCpus.on(0).in_progress.load())
    return original_of(cpu_stop_queue_work)(cpu, work)


def stop_all() -> list[int]:
    stop_cpus(0b111, nothing)
    return [Queueing.on(cpu).in_progress.load() for cpu in range(3)] + [StopCpus.on(0).in_progress.load()]


def test_stop_two_cpus_can_see_a_stop_cpus(machine):
    """in_progress is set while works are queued, and clear afterwards."""
    m = machine(3, overrides=[make_override(cpu_stop_queue_work, queue_and_note)])
    assert m.run(stop_all) == [1, 1, 1, 0]


def test_try_stop_cpus_again(machine):
    """It leaves the mutex free for the next one."""
    m = machine(2)
    assert [m.run(try_stop_cpus, 0b11, nothing) for _ in range(2)] == [0, 0]


def looks_of_a_stopper():
    p = CpuStopper.on(1).thread.get()
    return p.sched_class.load(), p.policy.load(), p.prio.load()


def test_a_stopper_appears_as_fifo_99(machine):
    """To ps and in traces; it is of the stop class."""
    assert machine(2).run(looks_of_a_stopper) == (STOP, sched.SCHED_FIFO, 0)


def test_stop_one_dead_cpu(machine):
    """A CPU that is offline answers -ENOENT."""
    m = machine(2)
    assert (m.run(cpu_down, 1), m.run(stop_one_cpu, 1, look)) == (0, -ENOENT)


def test_stop_one_cpu_there_is_not(machine):
    """A CPU that the machine has not is the caller's error, and so is what is no number."""
    m = machine(2)
    for cpu in (7, "x"):
        with pytest.raises(UsageError, match="CPUs 0 to 1"):
            m.run(stop_one_cpu, cpu, look)


def test_stop_two_cpus_runs_on_the_first(machine):
    """stop_two_cpus(a, b) runs the function on a only."""
    m = machine(3)
    assert m.run(stop_two_cpus, 2, 1, look) == 20
    with m.looking():
        assert runs_by_cpu(3) == [0, 0, 1]


def test_stop_two_cpus_with_a_dead_one(machine):
    """If either is offline nothing runs, and nobody is left waiting."""
    m = machine(3)
    assert (m.run(cpu_down, 1), m.run(stop_two_cpus, 2, 1, look)) == (0, -ENOENT)
    with m.looking():
        assert runs_by_cpu(3) == [0, 0, 0]


def opposite_pairs(low: int, high: int, rounds: int) -> int:
    return sum(stop_two_cpus(low, high, look) >= 0 for _ in range(rounds))


def test_opposite_pairs_do_not_deadlock(machine):
    """(a, b) and (b, a) at the same time, and stop_cpus between them."""
    m = machine(3)
    started = [m.start(opposite_pairs, 1, 2, 50, cpu=0), m.start(opposite_pairs, 2, 1, 50, cpu=1),
               m.start(opposite_pairs, 2, 0, 50, cpu=2)]
    for _ in range(20):
        m.run(stop_cpus, 0b111, look)
    assert [handle.result() for handle in started] == [50, 50, 50]


def test_stop_machine_stops_all_and_runs_on_one(machine):
    """stop_machine() runs the function on the first CPU, with interrupts off."""
    m = machine(3)
    assert m.run(stop_machine, look, 3, cpu=2) == 3
    with m.looking():
        assert (runs_by_cpu(3), Seen.on(0).irqs_off.load()) == ([1, 0, 0], 1)


def test_stop_machine_on_a_mask(machine):
    """With a mask it runs on each CPU of it."""
    m = machine(3)
    m.run(stop_machine, look, 0, 0b110)
    with m.looking():
        assert runs_by_cpu(3) == [0, 1, 1]


@pytest.mark.parametrize("cpus", [1, 5])
def test_stop_machine_with_other_counts(machine, cpus):
    """One CPU, and more CPUs than cores."""
    assert machine(cpus).run(stop_machine, look, 1) == 1


def busy_stop_cpus() -> int:
    with StopCpus.on(0).mutex:
        return try_stop_cpus(0b11, look)


def test_try_stop_cpus_when_busy(machine):
    """try_stop_cpus() does not wait for another."""
    assert machine(2).run(busy_stop_cpus) == -11


def set_affinity_of_self() -> tuple[int, int, int]:
    first = sched.smp_processor_id()
    ret = sched.set_cpus_allowed_ptr(sched.current(), 0b10)
    return first, ret, sched.smp_processor_id()


def test_running_task_moves_itself(machine):
    """set_cpus_allowed_ptr() on oneself: back on an allowed CPU when it returns."""
    assert machine(2).run(set_affinity_of_self, cpu=0) == (0, 0, 1)


def stopper_state(cpu: int) -> tuple[int, bool]:
    stopper = CpuStopper.on(cpu)
    return stopper.enabled.load(), stopper.works.empty()


def test_stopper_of_a_dead_cpu_has_nothing(machine):
    """S51: disabled, and its list empty."""
    m = machine(2)
    m.run(cpu_down, 1)
    assert m.run(stopper_state, 1) == (0, True)


def stop_without_waiting(cpu, fn):
    """Whether the work was queued, and then a stop that comes after it on the same list."""
    work = CpuStopWork.alloc()
    queued = stop_one_cpu_nowait(cpu, fn, 3, work)
    if queued:
        stop_one_cpu(cpu, look)
    work.free()
    return queued


def test_stop_one_cpu_nowait(machine):
    """The work runs on the CPU; on a CPU that is down it is refused."""
    m = machine(3)
    assert m.run(stop_without_waiting, 1, look)
    with m.looking():
        assert runs_by_cpu(3) == [0, 2, 0]
    m.run(cpu_down, 1)
    assert not m.run(stop_without_waiting, 1, look)


def stop_from_here(cpu):
    sched.preempt_disable()
    stop_machine_from_inactive_cpu(look, 0, 0b111)
    sched.preempt_enable()


def stop_from_here_on_one(cpu):
    sched.preempt_disable()
    stop_machine_from_inactive_cpu(look)
    sched.preempt_enable()


@pytest.mark.parametrize(("call", "runs"), [(stop_from_here, [1, 1, 1]), (stop_from_here_on_one, [1, 0, 0])])
def test_stop_machine_from_inactive_cpu(machine, call, runs):
    """A CPU on its way up stops the others, and takes part.  By default the first active CPU runs it."""
    m = machine(3)
    m.run(cpu_down, 1)
    m.run(cpuhp_setup_state, CpuhpState.CPUHP_AP_ONLINE_DYN, "stops", call, None, False)
    assert m.run(cpu_up, 1) == 0
    with m.looking():
        assert (runs_by_cpu(3), Seen.on(0).irqs_off.load()) == (runs, 1)
    assert m.run(stop_machine, nothing) == 0        # the mutex is free again


class Coming(PerCPU):
    """Of a CPU that comes up: whether it is about to stop the others."""

    here = Word()


def announce_and_stop(cpu):
    sched.preempt_disable()
    Coming.on(cpu).here.store(1)
    stop_machine_from_inactive_cpu(nothing)
    sched.preempt_enable()


def hold_the_mutex_and_call(shared):
    with StopCpus.on(0).mutex:
        complete(shared.ran)
        Coming.on(1).here.wait_while(0)
        for _ in range(5):
            smp_call_function_single(1, nothing, 0, True)


def test_an_inactive_cpu_takes_interrupts_while_it_waits(machine):
    """For a stop_cpus() that is under way: it answers the calls of other CPUs."""
    m = machine(3)
    m.run(cpu_down, 1)
    m.run(cpuhp_setup_state, CpuhpState.CPUHP_AP_ONLINE_DYN, "stops", announce_and_stop, None, False)
    shared = m.run(Shared.alloc)
    holds = m.start(hold_the_mutex_and_call, shared, cpu=0)
    m.run(wait_for_completion, shared.ran, cpu=2)
    assert (m.run(cpu_up, 1, cpu=2), holds.result()) == (0, None)


def test_stop_machine_from_an_active_cpu(machine):
    """A CPU that is active is a BUG: its stopper would be needed twice."""
    with pytest.raises(KernelBug, match="which is active"):
        machine(2).run(stop_machine_from_inactive_cpu, look)


def take_the_stoppers_place(cpu):
    """Give the CPU another stop task, as the stage of stop-class-while-queued does for a trial."""
    sched_set_stop_task(cpu, kthread_create(look, None, "usurper"))


@pytest.mark.parametrize(("wrong", "said"), [
    (take_the_stoppers_place, "its stop task is <task usurper"),
    (lambda cpu: sched_set_stop_task(cpu, None), "its stop task is None"),
    (lambda cpu: CpuStopper.on(cpu).thread.get().sched_class.store(RT), "cpu1's stopper is <task migr")])
def test_a_cpu_without_its_stopper_is_found(machine, wrong, said):
    """S57: the audit looks at the stop task of each CPU whose stopper takes works, and at its class."""
    m = machine(2)
    assert m.run(audit_hotplug) == []
    m.run(wrong, 1)
    assert [said in line for line in m.run(audit_hotplug) if line.startswith("S57: cpu1")] == [True]
    m.run(put_the_stopper_back, 1)


def put_the_stopper_back(cpu):
    sched_set_stop_task(cpu, CpuStopper.on(cpu).thread.get())
    CpuStopper.on(cpu).thread.get().sched_class.store(STOP)
