"""Per-CPU threads by descriptor: hooks, order, registration."""

from __future__ import annotations

from contextlib import suppress

import pytest

from kemu import native
from kemu.errors import UsageError
from kemu.kernel import sched, smpboot
from kemu.kernel.hotplug.cpu import cpu_down, cpu_up
from kemu.kernel.hotplug.cpuhp import CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.kernel.kthread import kthread_create, kthread_stop
from kemu.kernel.own.version import this_kernel
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched import TASK_PARKED, wake_up_process
from kemu.kernel.smpboot import (SmpHotplugThread, smpboot_park_threads,
                                 smpboot_register_percpu_thread, smpboot_unpark_threads,
                                 smpboot_unregister_percpu_thread)
from kemu.trace import events
from tests.kernel.threads import Board, blocks_at_rest, note

SETUP, PARK, UNPARK, CLEANUP = 1, 2, 3, 4


def has_work(cpu):
    return Board.on(cpu).work.load()


def assert_it_may_sleep():
    """A hook may sleep, so the thread does not stay announced as asleep while the hook runs."""
    assert sched.current().state.load() == sched.TASK_RUNNING


def work(cpu):
    assert_it_may_sleep()
    board = Board.on(cpu)
    board.work.store(0)
    board.where.store(1000 * sched.smp_processor_id() + native.getcpu())
    complete(board.ran)


def hook_setup(cpu):
    assert_it_may_sleep()
    note(Board.on(cpu).digits, SETUP)
    complete(Board.on(cpu).ran)


def hook_park(cpu):
    assert_it_may_sleep()
    note(Board.on(cpu).digits, PARK)


def hook_unpark(cpu):
    assert_it_may_sleep()
    note(Board.on(cpu).digits, UNPARK)
    complete(Board.on(cpu).ran)


def hook_cleanup(cpu, online):
    assert_it_may_sleep()
    note(Board.on(cpu).digits, CLEANUP)


def hook_create(cpu):
    """Look at the thread from outside; the digits of its board say what it was like."""
    k = next(t for t in sched.runqueue.system.tasks.used() if t.comm == f"created/{cpu}")
    Board.on(cpu).where.store(int(k.state.load() == TASK_PARKED
                                  and not k.on_rq.load() and not k.on_cpu.load()))


def fail_to_create(cpu):
    raise LookupError("no such thread")


HOOKED = SmpHotplugThread("hooked/%u", has_work, work, setup=hook_setup, park=hook_park,
                          unpark=hook_unpark, cleanup=hook_cleanup)
OTHER = SmpHotplugThread("other/%u", has_work, work)
CREATED = SmpHotplugThread("created/%u", has_work, work, create=hook_create)
SELFISH = SmpHotplugThread("selfish/%u", has_work, work, setup=hook_setup, park=hook_park,
                           unpark=hook_unpark, selfparking=True)


def register_and_run(descriptor):
    """Register, and wait until every CPU's thread has been set up."""
    smpboot_register_percpu_thread(descriptor)
    for cpu in sched.online_cpus():
        wait_for_completion(Board.on(cpu).ran)


def digits():
    return [Board.on(cpu).digits.load() for cpu in sched.online_cpus()]


def whole_life():
    register_and_run(HOOKED)
    for cpu in sched.online_cpus():
        for _ in range(2):
            smpboot_park_threads(cpu)
            smpboot_unpark_threads(cpu)
            wait_for_completion(Board.on(cpu).ran)
    smpboot_unregister_percpu_thread(HOOKED)
    return digits()


def test_hooks(machine):
    """Each thread is set up, parked and unparked in turns, and cleaned up."""
    assert machine(3).run(whole_life) == [1_23_23_4] * 3


def blocks_of_each_life():
    """Blocks of the heap in use after the first life of the threads, and after the third."""
    found = []
    for _ in range(3):
        whole_life()
        found.append(blocks_at_rest())
    return found[0], found[-1]


def test_a_life_leaves_no_block(machine):
    """Each thread frees its data, and unregistering frees the descriptor."""
    first, last = machine(3).run(blocks_of_each_life)
    assert last == first


def unregister_parked():
    register_and_run(HOOKED)
    smpboot_park_threads(1)
    smpboot_unregister_percpu_thread(HOOKED)
    return digits()


def test_unregister_parked(machine):
    """A parked thread is cleaned up without being unparked."""
    assert machine(2).run(unregister_parked) == [1_4, 1_2_4]


def create_hook():
    smpboot_register_percpu_thread(CREATED)
    found = [Board.on(cpu).where.load() for cpu in sched.online_cpus()]
    smpboot_unregister_percpu_thread(CREATED)
    return found


@pytest.mark.parametrize("trial", range(5))
def test_create_hook(machine, trial):
    """The create hook finds the thread parked and off its runqueue (seed 000)."""
    assert machine(3).run(create_hook) == [1, 1, 1]


def let_them_work():
    register_and_run(HOOKED)
    for cpu in sched.online_cpus():
        Board.on(cpu).work.store(1)
        wake_up_process(smpboot.smpboot_thread(HOOKED, cpu))
        wait_for_completion(Board.on(cpu).ran)
    smpboot_unregister_percpu_thread(HOOKED)
    return [divmod(Board.on(cpu).where.load(), 1000) for cpu in sched.online_cpus()]


def test_on_their_cpus(machine):
    """Each thread works on its own CPU, and so says the host."""
    m = machine(3)
    assert m.run(let_them_work) == list(enumerate(m.placement))


def names():
    smpboot_register_percpu_thread(OTHER)
    found = [smpboot.smpboot_thread(OTHER, cpu).comm for cpu in sched.online_cpus()]
    smpboot_unregister_percpu_thread(OTHER)
    return found, smpboot.smpboot_thread(OTHER, 0)


def test_threads(machine):
    """The thread of a CPU can be asked for while the descriptor is registered."""
    assert machine(2).run(names) == (["other/0", "other/1"], None)


def register_twice():
    smpboot_register_percpu_thread(OTHER)
    smpboot_register_percpu_thread(OTHER)


def test_register_twice(machine):
    """A descriptor is registered once."""
    with pytest.raises(UsageError, match="registered already"):
        machine().run(register_twice)


def test_unregister_unknown(machine):
    """What is not registered cannot be unregistered."""
    with pytest.raises(UsageError, match="not registered"):
        machine().run(smpboot_unregister_percpu_thread, OTHER)


def again(rounds):
    for _ in range(rounds):
        smpboot_register_percpu_thread(OTHER)
        smpboot_unregister_percpu_thread(OTHER)


def test_register_again(machine):
    """Registering and unregistering again and again leaves nothing over."""
    m = machine(2, tasks=24)
    assert m.run(again, 30) is None


def tasks_left():
    again(1)
    return [task.comm for task in sched.runqueue.system.tasks.used()
            if task.comm.startswith("other") and not task.flags.load() & 0x4]


def test_unregister_stops(machine):
    """After unregistering no thread runs any more."""
    assert machine(2).run(tasks_left) == []


def order_of(m, event):
    return [e.subject for e in m.trace().events
            if e.id == event and e.subject in ("hooked/1", "other/1")]


def test_order(machine):
    """Threads are unparked in the reverse order of registration, and parked in that order (v4.13)."""
    m = machine(2)
    m.run(register_and_run, HOOKED)
    m.run(smpboot_register_percpu_thread, OTHER)
    m.trace_on()
    m.run(smpboot_park_threads, 1)
    m.run(smpboot_unpark_threads, 1)
    assert (order_of(m, events.KTHREAD_PARK), order_of(m, events.KTHREAD_UNPARK)) == (
        ["hooked/1", "other/1"], ["other/1", "hooked/1"])


def leave_selfish_alone():
    smpboot_register_percpu_thread(SELFISH)
    k = smpboot.smpboot_thread(SELFISH, 1)
    sched.wait_task_inactive(k, TASK_PARKED)
    smpboot_unpark_threads(1)
    found = k.state.load()
    smpboot_unregister_percpu_thread(SELFISH)
    return found, digits()


def test_selfparking(machine):
    """A thread that parks by itself is left alone: not unparked, and never set up."""
    assert machine(2).run(leave_selfish_alone) == (TASK_PARKED, [0, 0])


@pytest.mark.parametrize("comm", ["worker", "%u/%u", ""])
def test_wrong_name(comm):
    """A descriptor's name has one place for the CPU."""
    with pytest.raises(UsageError, match="one %u"):
        SmpHotplugThread(comm, has_work, work)


def create_that_fails():
    with suppress(LookupError):
        smpboot_register_percpu_thread(SmpHotplugThread("bad/%u", has_work, work,
                                                        create=fail_to_create))
    smpboot_register_percpu_thread(OTHER)       # the lock is free
    smpboot_unregister_percpu_thread(OTHER)


def test_create_that_fails(machine):
    """A create hook that raises reaches the caller, and the lock is free again."""
    assert machine(2).run(create_that_fails) is None


# -- beside hotplug ----------------------------------------------------------------


def between(cpu):
    """A callback of cpu_up(): the CPU's threads are created, and it is not online yet."""
    complete(Board.on(0).ran)
    wait_for_completion(Board.on(1).ran)


def register_other(data):
    return smpboot_register_percpu_thread(OTHER)


def register_during_cpu_up():
    cpu_down(1)
    cpuhp_setup_state(CpuhpState.CPUHP_BP_PREPARE_DYN, "between", between, None, False)
    up, register = (kthread_create(function, 1, "k") for function in (cpu_up, register_other))
    wake_up_process(up)
    wait_for_completion(Board.on(0).ran)
    wake_up_process(register)
    while not (register.ended.load() or register.waits_on.load()):
        sched.cond_resched()
    complete(Board.on(1).ran)
    return kthread_stop(up), kthread_stop(register), this_kernel().audit()


def test_register_during_cpu_up(machine):
    """A CPU that is on its way up when a descriptor is registered gets its thread (4bee96860a65)."""
    assert machine(2).run(register_during_cpu_up) == (0, 0, [])
