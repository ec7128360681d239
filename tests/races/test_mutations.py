"""Break a fix by hand: the tool notices.  Each takes one line out of the fixed kernel."""

from __future__ import annotations

import pytest

import kemu
from kemu import native
from kemu.kernel import cpu_stop, kthread, sched
from kemu.kernel.fork import put_task_struct
from kemu.kernel.hotplug.cpu import cpu_up
from kemu.kernel.sched import state as sched_state
from kemu.machine.override import make_override
from kemu.races import exhibit, stop_class_while_queued
from kemu.harness.runner import Plan, run_race


def __kthread_bind(p, cpu, state):
    """Without the state argument: any inactive thread will do."""
    if not sched.wait_task_inactive(p, 0):
        return
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))


def set_special_state(state):
    """Without pi_lock."""
    native.current().state.store(state)


def stop_machine_park(cpu):
    """Without clearing enabled."""
    kthread.kthread_park(cpu_stop.CpuStopper.on(cpu).thread.get())


def cpu_stop_park(cpu):
    """Draining, as it did, where now nothing is left."""
    stopper = cpu_stop.CpuStopper.on(cpu)
    flags = stopper.lock.lock_irqsave()
    for node in stopper.works.nodes():
        stopper.memory.list_del(node)
        cpu_stop.cpu_stop_drop(cpu_stop.CpuStopWork(stopper.memory, node))
    stopper.enabled.store(0)
    stopper.lock.unlock_irqrestore(flags)


@pytest.mark.parametrize(("name", "broken"), [
    ("parked-store-collides", [(sched_state.set_special_state, set_special_state)]),
    ("stopper-drops-work", [(cpu_stop.stop_machine_park, stop_machine_park),
                            (cpu_stop.cpu_stop_park, cpu_stop_park)])])
def test_broken_fix_is_found(name, broken):
    """The after side, with the fix taken out again, hits in every forced trial."""
    race = exhibit(name).copy()
    race.side("before").overrides[:] = [make_override(target, wrong) for target, wrong in broken]
    before = run_race(race, Plan("forced", trials=3), ("before",)).before
    assert before.hits == 3


def leaves_no_stop_task(t):
    """As the exhibit's conclude, but CPU2's own stopper does not take its place again."""
    sched.sched_set_stop_task(2, None)
    thread = stop_class_while_queued.Stopper.on(2).kept.get()
    kthread.kthread_stop(thread)
    put_task_struct(thread)
    cpu_up(2)


def test_a_stage_that_leaves_a_cpu_without_its_stopper_is_found():
    """S57: otherwise all trials but the first would run on a machine that is not as it should be."""
    race = exhibit("stop-class-while-queued").copy()
    race.concludes[:] = [leaves_no_stop_task]
    after = run_race(race, Plan("forced", trials=1), ("after",)).after
    assert (after.verdict.value, "S57: cpu2" in after.failure) == ("BROKEN", True), after.failure


def bind_a_running_thread():
    """__kthread_bind() on a thread that sleeps, but not parked."""
    k = kthread.kthread_run(wait_to_stop, None, "sleeper")
    sched.wait_task_inactive(k, sched.TASK_INTERRUPTIBLE)
    bind(k, 0, sched.TASK_PARKED)
    return kthread.kthread_stop(k)


bind = kthread.__kthread_bind


def wait_to_stop(data):
    while not kthread.kthread_should_stop():
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not kthread.kthread_should_stop():
            sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)


def test_bind_checks_the_state(machine):
    """S23: binding a thread that is in another state WARNs."""
    with pytest.raises(kemu.KernelWarning, match="not asleep in state 0x200"):
        machine(2).run(bind_a_running_thread)


def test_bind_without_its_state_argument_is_silent(machine):
    """And the test above would fail without the argument."""
    m = machine(2, overrides=[make_override(kthread.__kthread_bind, __kthread_bind)])
    assert m.run(bind_a_running_thread) == 0
