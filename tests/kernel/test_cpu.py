"""CPU hotplug: up and down, callbacks, rollback, and wrong calls."""

from __future__ import annotations

from errno import EAGAIN, EBUSY, EINVAL, EIO

import pytest

from kemu import UsageError
from kemu.kernel import sched
from kemu.kernel.hotplug.audit import audit_hotplug
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up, cpuhp_online_idle, take_cpu_down
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import (CpuhpStateMutex, cpuhp_remove_state, cpuhp_set_fail,
                                             cpuhp_setup_state, cpuhp_states)
from kemu.kernel.hotplug.cpuhp_thread import cpuhp_invoke_ap_callback
from kemu.kernel.kthread import kthread_run, kthread_should_stop, kthread_stop
from kemu.kernel.own.system import system as board
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.smpboot import registered_threads
from kemu.machine.override import make_override, original_of
from kemu.memory.struct import PerCPU, Word
from tests.kernel.threads import Shared
from kemu.native import irqs_disabled

S = CpuhpState


class Journal(PerCPU):
    """What callbacks did: 1 up, 2 down, in order, as decimal digits."""

    digits = Word()


def came(cpu: int) -> int:
    Journal.on(cpu).digits.store(Journal.on(cpu).digits.load() * 10 % 10**6 + 1)
    return 0


def went(cpu: int) -> int:
    Journal.on(cpu).digits.store(Journal.on(cpu).digits.load() * 10 % 10**6 + 2)
    return 0


def refuses(cpu: int) -> int:
    return -7 if cpu == 1 else 0


def raises(cpu: int) -> int:
    if cpu == 1:
        raise RuntimeError("a callback's own bug")
    return 0


def snapshot() -> tuple[object, ...]:
    """All that an operation that failed must leave as it was."""
    masks = (board.header.online_mask.load(), board.header.active_mask.load())
    states = [(CpuhpCpuState.on(c).state.load(), CpuhpCpuState.on(c).target.load())
              for c in sched.for_each_cpu(board.header.possible_mask.load())]
    return masks, states, len(registered_threads(1)), audit_hotplug()


@pytest.mark.parametrize("cpus", [2, 3, 6])
def test_down_and_up(machine, cpus):
    """The last CPU goes and comes; all invariants hold after each."""
    m = machine(cpus)
    assert m.run(cpu_down, cpus - 1) == 0
    assert (m.online(), m.run(audit_hotplug)) == (list(range(cpus - 1)), [])
    assert m.run(cpu_up, cpus - 1) == 0
    assert (m.online(), m.run(audit_hotplug)) == (list(range(cpus)), [])


def test_boot_cpu_can_go(machine):
    """CPU 0 is a CPU like any other, once another is there."""
    m = machine(2)
    assert (m.run(cpu_down, 0, cpu=1), m.run(cpu_up, 0, cpu=1)) == (0, 0)


def down_own_cpu() -> tuple[int, int]:
    return cpu_down(sched.smp_processor_id()), sched.smp_processor_id()


def test_down_of_the_callers_own_cpu(machine):
    """The caller goes on on another CPU."""
    assert machine(2).run(down_own_cpu, cpu=1) == (0, 0)


@pytest.mark.parametrize("cpu", [-1, 2, 99, True, "1", None])
def test_no_such_cpu(machine, cpu):
    """A CPU there is not: -EINVAL, up and down."""
    m = machine(2)
    assert (m.run(cpu_down, cpu), m.run(cpu_up, cpu)) == (-EINVAL, -EINVAL)


def test_last_cpu_stays(machine):
    """While one CPU is online, cpu_down() refuses, whichever CPU is asked for (v4.13)."""
    m = machine(2)
    assert [m.run(cpu_down, cpu) for cpu in (1, 0, 1)] == [0, -EBUSY, -EBUSY]
    assert machine(1).run(cpu_down, 0) == -EBUSY


def test_down_twice_and_up_twice(machine):
    """Down of an offline CPU is done already, and so is up of an online one (v4.13)."""
    m = machine(3)
    assert [m.run(cpu_up, 1), m.run(cpu_down, 1), m.run(cpu_down, 1)] == [0, 0, 0]


def test_two_callers_at_once(machine):
    """Operations exclude each other: each is done, or finds it done."""
    m = machine(3)
    for _ in range(10):
        both = [m.start(cpu_down, 2, cpu=cpu) for cpu in (0, 1)]
        assert [handle.result() for handle in both] == [0, 0]
        assert not m.run(cpu_online, 2)
        both = [m.start(cpu_up, 2, cpu=cpu) for cpu in (0, 1)]
        assert [handle.result() for handle in both] == [0, 0]


def test_start_on_a_dead_cpu(machine):
    """A function cannot be run on a CPU that is offline."""
    m = machine(2)
    m.run(cpu_down, 1)
    with pytest.raises(UsageError, match="not online"):
        m.run(sched.smp_processor_id, cpu=1)


def spin(data: object) -> int:
    while not kthread_should_stop():
        sched.cpu_relax()
    return sched.smp_processor_id()


def push_a_running_task() -> int:
    k = kthread_run(spin, None, "spinner")
    sched.set_cpus_allowed_ptr(k, 0b10)
    cpu_down(1)
    return kthread_stop(k)


def test_running_task_is_pushed_off(machine):
    """A task that runs on a dying CPU goes on on another."""
    assert machine(2).run(push_a_running_task) == 0


@pytest.mark.parametrize("state", [S.CPUHP_BP_PREPARE_DYN, S.CPUHP_AP_ONLINE_DYN])
def test_callbacks_run_on_each_operation(machine, state):
    """startup at registration and on the way up, teardown on the way down and at removal."""
    m = machine(2)
    at = m.run(cpuhp_setup_state, state, "mine", came, went)
    assert [m.run(cpu_down, 1), m.run(cpu_up, 1), m.run(cpuhp_remove_state, at)] == [0, 0, 0]
    with m.looking():
        assert Journal.on(1).digits.load() == 1212


def test_atomic_callbacks_run_on_the_cpu(machine):
    """A STARTING state's callbacks run too."""
    m = machine(2)
    m.run(cpuhp_setup_state, S.CPUHP_AP_STARTING_DYN, "mine", came, went, False)
    assert [m.run(cpu_down, 1), m.run(cpu_up, 1)] == [0, 0]
    with m.looking():
        assert Journal.on(1).digits.load() == 21


def notes_its_interrupts(cpu: int) -> int:
    Journal.on(cpu).digits.store(1 + irqs_disabled())
    return 0


def invoke_on_its_own_thread(cpu: int) -> int:
    at = cpuhp_setup_state(S.CPUHP_AP_STARTING_DYN, "mine", notes_its_interrupts, None, False)
    return cpuhp_invoke_ap_callback(cpu, at, True)


def test_an_atomic_callback_on_the_cpus_own_thread(machine):
    """It runs with interrupts off, and its result comes back."""
    m = machine(2)
    assert m.run(invoke_on_its_own_thread, 1) == 0
    with m.looking():
        assert Journal.on(1).digits.load() == 2


def test_registration_is_undone_if_a_startup_fails(machine):
    """What had started is torn down, and the state is free again."""
    m = machine(2)
    assert m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "no", refuses, went) == -7
    with m.looking():
        assert (Journal.on(0).digits.load(), Journal.on(1).digits.load()) == (2, 0)
    assert "no" not in m.run(cpuhp_states).values()


@pytest.mark.parametrize(("callback", "errno"), [(refuses, -7), (raises, -EIO)])
@pytest.mark.parametrize("state", [S.CPUHP_BP_PREPARE_DYN, S.CPUHP_AP_ONLINE_DYN])
def test_failed_up_leaves_all_as_before(machine, state, callback, errno):
    """A startup that fails or raises: the CPU is as dead as before."""
    m = machine(2)
    m.run(cpuhp_setup_state, state, "no", callback, None, False)
    m.run(cpu_down, 1)
    before = m.run(snapshot)
    assert (m.run(cpu_up, 1), m.run(snapshot)) == (errno, before)


def test_failed_down_leaves_all_as_before(machine):
    """A teardown that fails: the CPU is as alive as before."""
    m = machine(2)
    m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "no", None, refuses)
    before = m.run(snapshot)
    assert (m.run(cpu_down, 1), m.run(snapshot)) == (-7, before)


def every_failure(states: list[int]) -> dict[int, tuple[int, int, bool, bool]]:
    """Fail each state in turn, down and up; what was returned, and whether all was as before."""
    found = {}
    for state in states:
        up = snapshot()
        inject_down = cpuhp_set_fail(1, state)
        down = cpu_down(1)
        same_down = snapshot() == up if down else True
        if down:
            cpu_down(1)
        dead = snapshot()
        inject_up = cpuhp_set_fail(1, state)
        ret_up = cpu_up(1)
        same_up = snapshot() == dead if ret_up else True
        if ret_up:
            cpu_up(1)
        found[state] = (inject_down or down, inject_up or ret_up, same_down, same_up)
    return found


def test_every_state_failed_in_turn(machine):
    """Injection: each that may fail does, and is undone; the others refuse with -EINVAL."""
    m = machine(2)
    m.run(cpuhp_setup_state, S.CPUHP_BP_PREPARE_DYN, "prepare", came, went)
    m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "online", came, went)
    found = m.run(every_failure, sorted(m.run(cpuhp_states)))
    assert all(same_down and same_up for _, _, same_down, same_up in found.values())
    for state, (down, up, _, _) in found.items():
        atomic = S.CPUHP_AP_IDLE_DEAD <= state < S.CPUHP_AP_ONLINE
        empty = state in (S.CPUHP_OFFLINE, S.CPUHP_AP_ONLINE, S.CPUHP_AP_ONLINE_IDLE, S.CPUHP_ONLINE)
        if atomic or empty:
            assert (down, up) == (-EINVAL, -EINVAL), state
        elif state <= S.CPUHP_BRINGUP_CPU:
            assert (down, up) == (-EINVAL, -EAGAIN), state
        else:
            assert down == -EAGAIN, state


@pytest.mark.parametrize("target", [S.CPUHP_AP_ONLINE_IDLE, S.CPUHP_AP_SMPBOOT_THREADS])
def test_partial_down_and_up(machine, target):
    """target stops on the way, and from there it goes on."""
    m = machine(2)
    assert m.run(cpu_down, 1, target) == 0
    with m.looking():
        assert CpuhpCpuState.on(1).state.load() == target
    assert (m.run(cpu_up, 1), m.run(audit_hotplug)) == (0, [])


@pytest.mark.parametrize("target", [-1, 11, 15, 19, 1000, "online"])
def test_targets_that_cannot_be(machine, target):
    """A state nobody can rest in: -EINVAL."""
    assert machine(2).run(cpu_down, 1, target) == -EINVAL


@pytest.mark.parametrize("state", [0, 1, 10, 13, 38, 99, -3, None])
def test_states_that_take_no_callbacks(machine, state):
    """The kernel's own states, and those there are not."""
    assert machine(2).run(cpuhp_setup_state, state, "mine", came, went) == -EINVAL


def test_dynamic_range_runs_out(machine):
    """-ENOSPC when it is full; what was registered stays."""
    m = machine(1)
    size = S.CPUHP_BP_PREPARE_DYN_END - S.CPUHP_BP_PREPARE_DYN + 1
    got = [m.run(cpuhp_setup_state, S.CPUHP_BP_PREPARE_DYN, f"mine{nr}", None, None)
           for nr in range(size + 1)]
    assert got == [*range(S.CPUHP_BP_PREPARE_DYN, S.CPUHP_BP_PREPARE_DYN_END + 1), -28]


def sleep_across(ticks: int) -> int:
    return sched.schedule_timeout_uninterruptible(ticks)


def test_timer_of_a_dead_cpu_still_fires(machine):
    """A task sleeps on a CPU that goes down: it wakes in time, elsewhere."""
    m = machine(2)
    handle = m.start(sleep_across, 50, cpu=1)
    assert (m.run(cpu_down, 1), handle.result(timeout=30)) == (0, 0)


def online_idle_with_interrupts_on(cpu: int) -> None:
    assert not sched.irqs_disabled()
    original_of(cpuhp_online_idle)(cpu)


def test_a_cpu_takes_interrupts_before_it_says_that_it_is_up(machine):
    """Otherwise a task that waits for it could send it a call that it does not take."""
    m = machine(2, overrides=[make_override(cpuhp_online_idle, online_idle_with_interrupts_on)])
    assert (m.run(cpu_down, 1), m.run(cpu_up, 1)) == (0, 0)


def refuses_to_go(cpu: int) -> int:
    return -EBUSY


def test_a_cpu_that_refuses_to_go_stays(machine):
    """cpu_down() returns its error; the CPU and its threads are as they were."""
    m = machine(2, overrides=[make_override(take_cpu_down, refuses_to_go)])
    assert (m.run(cpu_down, 1), m.run(cpu_online, 1), m.run(audit_hotplug)) == (-EBUSY, True, [])


def register_until(shared: Shared) -> None:
    """Hold the mutex of registrations until the gate opens."""
    with CpuhpStateMutex.on(0).mutex:
        complete(shared.ran)
        shared.gate.wait_while(0)


def until_it_waits_for_the_registration(comm: str) -> None:
    owner = CpuhpStateMutex.on(0).mutex.owner.offset
    while not any(p.comm == comm and p.waits_on.load() == owner for p in board.tasks.used()):
        sched.cpu_relax()


def test_an_audit_waits_for_a_registration(machine):
    """It runs callbacks on the CPUs' threads, so a completion may count 1 meanwhile (S67)."""
    m = machine(3)
    shared = m.run(Shared.alloc)
    registers = m.start(register_until, shared, cpu=0)
    m.run(wait_for_completion, shared.ran, cpu=1)
    audits = m.start(audit_hotplug, cpu=2)
    m.run(until_it_waits_for_the_registration, "audit_hotplug", cpu=1)
    m.run(shared.gate.store, 1, cpu=1)
    assert (registers.result(), audits.result()) == (None, [])


def test_a_startup_that_failed_is_not_torn_down(machine):
    """It counts as not run, when cpu_up() turns around."""
    m = machine(2)
    m.run(cpu_down, 1)
    m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "mine", refuses, went, False)
    assert m.run(cpu_up, 1) == -7
    with m.looking():
        assert Journal.on(1).digits.load() == 0


def test_removing_what_is_not_there(machine):
    """Neither a state of the kernel's own, nor a state without callbacks."""
    m = machine(1)
    assert [m.run(cpuhp_remove_state, state) for state in (S.CPUHP_AP_ACTIVE, S.CPUHP_AP_ONLINE_DYN)] == [
        -EINVAL, -EINVAL]


def test_a_registration_that_fails_after_a_failed_cpu_down(machine):
    """It is not taken for a failure while rolling back, which would be a WARN."""
    m = machine(2)
    m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "stays", None, refuses, False)
    assert m.run(cpu_down, 1) == -7
    assert m.run(cpuhp_setup_state, S.CPUHP_AP_ONLINE_DYN, "no", refuses, went) == -7
