"""Each check of an invariant in the kernel stops the machine when the invariant is broken.

A case breaks one invariant, by a poke or by a function that does too little, and names what the kernel
says.  Without the check the case would end in silence.
"""

from __future__ import annotations

import pytest

import kemu
from kemu.kernel import arch, cpu_stop, sched
from kemu.kernel.cpu_stop import CpuStopper, CpuStopWork, stop_one_cpu
from kemu.kernel.hotplug import cpu as hotplug
from kemu.kernel.hotplug import sched_cpu
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.kernel.hotplug.cpuhp_thread import cpuhp_invoke_ap_callback, cpuhp_thread_fun
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.kthread import kthread_run
from kemu.kernel.sched.completion import complete
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.smpboot import run_create_hook
from kemu.kernel.v2_6 import cpu as old_cpu
from kemu.kernel.v2_6 import migration, migration_call
from kemu.kernel.v2_6.notifier import CPU_DEAD, NOTIFY_BAD, NOTIFY_OK
from kemu.machine.override import make_override
from kemu.native import preempt_disable
from kemu.races.idle_thread import idle_thread

S = CpuhpState


def refuses(cpu: int) -> int:
    return -7 * (cpu == 1)


def nothing(cpu: int) -> int:
    return 0


def callbacks(*given) -> None:
    """Register callbacks, each a state, a startup and a teardown, while CPU 1 is down."""
    for state, startup, teardown in given:
        cpuhp_setup_state(state, "mine", startup, teardown, False)


def fail_while_rolling_back() -> None:
    cpu_down(1)
    callbacks((S.CPUHP_AP_ONLINE_DYN, nothing, refuses), (S.CPUHP_AP_ONLINE_DYN, refuses, None))
    cpu_up(1)


def fail_on_the_way_up() -> None:
    cpu_down(1)
    callbacks((S.CPUHP_AP_STARTING_DYN, refuses, None))
    cpu_up(1)


def fail_on_the_way_down() -> None:
    callbacks((S.CPUHP_AP_STARTING_DYN, None, refuses))
    cpu_down(1)


def fail_on_the_cpus_own_thread() -> None:
    callbacks((S.CPUHP_AP_STARTING_DYN, refuses, None))
    cpuhp_invoke_ap_callback(1, S.CPUHP_AP_STARTING_DYN, True)


def idle_before_online() -> None:
    cpu_down(1)
    complete(CpuhpCpuState.on(1).done)
    hotplug.bringup_wait_for_ap(1)


def come_up_with_a_task() -> None:
    cpu_down(1)
    runqueues[1].nr_running.add(1)
    cpu_up(1)


def leak(arg: object) -> None:
    preempt_disable()


def leak_a_preempt_count() -> None:
    stop_one_cpu(1, leak)
    stop_one_cpu(1, nothing)        # the first may return before the stopper has looked


def park_with_works() -> None:
    CpuStopper.on(0).works.add(CpuStopWork.alloc().base)
    cpu_stop.cpu_stop_park(0)


def create_hook_of_a_running_task() -> None:
    run_create_hook(idle_thread("mine/%u", create=nothing), sched.current(), 0)


CASES = {
    "cpuhp/0 runs, and should_run is not set": lambda: cpuhp_thread_fun(0),
    "failed (-7) while rolling back": fail_while_rolling_back,
    "STARTING callback of state 14 must not fail": fail_on_the_way_up,
    "DYING callback of state 14 must not fail": fail_on_the_way_down,
    "cpuhp/1: state 14 must not fail, and returned -7": fail_on_the_cpus_own_thread,
    "cpu1 said it idles, and is not online": idle_before_online,
    "cpu1 is taken down from state 39": lambda: hotplug.take_cpu_down(1),
    "cpu0 reports itself dead in state 39": lambda: hotplug.cpuhp_report_idle_dead(0),
    "S63: cpu1 comes up with 1 tasks queued": come_up_with_a_task,
    "leaked preempt count": leak_a_preempt_count,
    "cpu0's stopper parks with works on its list": park_with_works,
    "is not asleep in TASK_PARKED": create_hook_of_a_running_task,
    "is new and queued already": lambda: sched.wakeup.wake_up_new_task(sched.current()),
}


@pytest.mark.parametrize("said", CASES)
def test_a_broken_invariant_stops_the_machine(machine, said):
    """Linux 4.13: hotplug, stoppers, threads."""
    with pytest.raises(kemu.KernelPanic) as stopped:
        machine(2).run(CASES[said])
    assert said in stopped.value.text


def idle_dead_in_silence(cpu: int) -> None:
    """As cpuhp_report_idle_dead(), without the state."""
    smp_call_function_single(0, hotplug.cpuhp_complete_idle_dead, cpu, False)


def spin(data: object) -> int:
    while True:
        sched.cpu_relax()


def take_down_a_busy_cpu() -> None:
    sched.set_cpus_allowed_ptr(kthread_run(spin, None, "spinner"), 0b10)
    cpu_down(1)


@pytest.mark.parametrize(("said", "target", "does", "run"), [
    ("cpu1 is online after it was taken down", hotplug.take_cpu_down, nothing, lambda: cpu_down(1)),
    ("cpu1 is dead in state 12", hotplug.cpuhp_report_idle_dead, idle_dead_in_silence,
     lambda: cpu_down(1)),
    ("S63: the dying cpu1 keeps", sched_cpu.migrate_tasks, lambda dead_rq: None, take_down_a_busy_cpu)],
    ids=["online", "state", "S63"])
def test_a_step_that_does_too_little_is_noticed(machine, said, target, does, run):
    """The step before the check is replaced by one that leaves its work out."""
    with pytest.raises(kemu.KernelPanic) as stopped:
        machine(2, overrides=[make_override(target, does)]).run(run)
    assert said in stopped.value.text


def come_up_with_a_task_2_6() -> None:
    old_cpu.cpu_down(1)
    runqueues[1].nr_running.add(1)
    old_cpu.cpu_up(1)


def objects(action: int, cpu: int) -> int:
    return NOTIFY_BAD if action == CPU_DEAD else NOTIFY_OK


def object_to_a_dead_cpu() -> None:
    old_cpu.register_cpu_notifier(objects)
    old_cpu.cpu_down(1)


def stop_the_thread_of_a_busy_cpu() -> None:
    runqueues[1].nr_running.add(1)
    migration_call.stop_migration_thread(1)


def drain_another_request() -> None:
    req = migration.MigrationReq.alloc()
    req.type.store(2)
    migration.Migration.on(1).queue.add(req.base)
    migration_call.drain_requests(1)


CASES_2_6 = {
    "S63: cpu1 comes up with 1 tasks queued": come_up_with_a_task_2_6,
    "a notifier objects to cpu1 being dead": object_to_a_dead_cpu,
    "is left on dead cpu0": lambda: old_cpu.check_for_tasks(0),
    "whose migration thread is": lambda: migration_call.migration_thread(0),
    "S63: dead cpu1 has 1 tasks queued": stop_the_thread_of_a_busy_cpu,
    "S84: a request of type 2 on dead cpu1": drain_another_request,
}


@pytest.mark.parametrize("said", CASES_2_6)
def test_a_broken_invariant_stops_the_machine_2_6(machine, said):
    """Linux 2.6.6: hotplug and migration."""
    with pytest.raises(kemu.KernelPanic) as stopped:
        machine(2, kernel="2.6.6").run(CASES_2_6[said])
    assert said in stopped.value.text


def test_a_cpu_that_does_not_come_up_is_noticed(machine):
    """2.6.6: the processor is not switched on."""
    m = machine(2, kernel="2.6.6", overrides=[make_override(arch.__cpu_up, nothing)])
    m.run(old_cpu.cpu_down, 1)
    with pytest.raises(kemu.KernelBug, match="cpu1 was brought up and is not online"):
        m.run(old_cpu.cpu_up, 1)
