"""Hotplug of 2004: up and down, notifiers, veto, and wrong calls."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from errno import EBUSY, EINVAL, ENOENT, ENOMEM

import pytest

import kemu
from kemu.kernel import cpu_stop, sched
from kemu.kernel.hotplug import cpu as modern
from kemu.kernel.kthread import kthread_run, kthread_should_stop, kthread_stop
from kemu.kernel.own.system import system as board
from kemu.kernel.softirq import open_softirq, raise_softirq
from kemu.kernel.v2_6 import kmod
from kemu.kernel.v2_6.audit import audit_hotplug
from kemu.kernel.v2_6.cpu import (check_for_tasks, cpu_down, cpu_up, register_cpu_notifier,
                                  unregister_cpu_notifier)
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.notifier import (CPU_DEAD, CPU_ONLINE, CPU_UP_CANCELED, CPU_UP_PREPARE,
                                       NOTIFY_BAD, NOTIFY_OK)
from kemu.kernel.v2_6.migration import sched_migrate_task, set_cpus_allowed
from kemu.kernel.v2_6.stop_machine import restart_machine
from kemu.machine.override import make_override
from kemu.memory.struct import PerCPU, Word
from tests.kernel.threads import blocks_at_rest


class Journal(PerCPU):
    """Of CPU 0: who was told what, in order, as decimal digits: who, action."""

    digits = Word()


def note(who: int, action: int) -> None:
    digits = Journal.on(0).digits
    digits.store(digits.load() * 100 + 10 * who + action)


def first(action: int, cpu: int) -> int:
    note(1, action)
    return NOTIFY_OK


def second(action: int, cpu: int) -> int:
    note(2, action)
    return NOTIFY_OK


def objects(action: int, cpu: int) -> int:
    note(3, action)
    return NOTIFY_BAD if action == CPU_UP_PREPARE else NOTIFY_OK


def raises(action: int, cpu: int) -> int:
    if action == CPU_UP_PREPARE:
        raise RuntimeError("a notifier's own bug")
    return NOTIFY_OK


def told() -> int:
    return Journal.on(0).digits.xchg(0)


@pytest.fixture
def old(machine):
    return lambda cpus, **options: machine(cpus, kernel="2.6.6", **options)


@pytest.mark.parametrize("cpus", [2, 3, 6, 17])
def test_down_and_up(old, cpus):
    """The last CPU goes and comes; all invariants hold after each."""
    m = old(cpus)
    assert (m.run(cpu_down, cpus - 1), m.online()) == (0, list(range(cpus - 1)))
    assert m.run(audit_hotplug) == []
    assert (m.run(cpu_up, cpus - 1), m.online()) == (0, list(range(cpus)))
    assert m.run(audit_hotplug) == []


def test_one_cpu(old):
    """A machine of one CPU boots, and keeps it."""
    m = old(1)
    assert (m.run(cpu_down, 0), m.run(cpu_up, 0), m.run(audit_hotplug)) == (-EBUSY, -EINVAL, [])


@pytest.mark.parametrize("cpu", [-1, 2, 99, True, "1", None])
def test_no_such_cpu(old, cpu):
    """A CPU there is not: -EINVAL, up and down."""
    m = old(2)
    assert (m.run(cpu_down, cpu), m.run(cpu_up, cpu)) == (-EINVAL, -EINVAL)


def test_twice(old):
    """Unlike later kernels, both are -EINVAL the second time."""
    m = old(2)
    assert [m.run(cpu_up, 1), m.run(cpu_down, 1), m.run(cpu_down, 1)] == [-EINVAL, 0, -EINVAL]


def test_boot_cpu_can_go(old):
    """CPU 0 is a CPU like any other, once another is there."""
    m = old(2)
    assert (m.run(cpu_down, 0, cpu=1), m.run(cpu_up, 0, cpu=1)) == (0, 0)


def down_own_cpu() -> tuple[int, int]:
    return cpu_down(sched.smp_processor_id()), sched.smp_processor_id()


def test_down_of_the_callers_own_cpu(old):
    """The caller goes on on another CPU."""
    assert old(2).run(down_own_cpu, cpu=1) == (0, 0)


def down_after_another() -> tuple[int, int]:
    """Own mask is CPU 0 before and after, whatever it was meanwhile."""
    me = sched.current()
    before = me.cpus_allowed.load()
    cpu_down(1)
    return before, me.cpus_allowed.load()


def test_the_callers_mask_comes_back(old):
    """cpu_down confines its caller to the other CPUs for as long as it takes."""
    before, after = old(3).run(down_after_another)
    assert before == after == 1


def test_two_callers_at_once(old):
    """Operations exclude each other: one is done, the other finds it done."""
    m = old(3)
    for _ in range(5):
        for operation in (cpu_down, cpu_up):
            both = [m.start(operation, 2, cpu=cpu) for cpu in (0, 1)]
            assert sorted(handle.result() for handle in both) == [-EINVAL, 0]


def test_notifiers_come_by_priority(old):
    """Higher priorities first, equals in order of registration; each action in turn."""
    m = old(2)
    m.run(register_cpu_notifier, second)
    m.run(register_cpu_notifier, first, 5)
    m.run(cpu_down, 1)
    assert m.run(told) == 1000 + 100 * CPU_DEAD + 20 + CPU_DEAD
    m.run(cpu_up, 1)
    assert m.run(told) == int(f"1{CPU_UP_PREPARE}2{CPU_UP_PREPARE}1{CPU_ONLINE}2{CPU_ONLINE}")


def test_a_veto_is_told_to_those_who_accepted(old):
    """UP_CANCELED goes only to the callbacks that were called before the objector."""
    m = old(2)
    m.run(cpu_down, 1)
    for call, priority in ((first, 3), (objects, 2), (second, 1)):
        m.run(register_cpu_notifier, call, priority)
    assert (m.run(cpu_up, 1), m.online()) == (-EINVAL, [0])
    assert m.run(told) == int(f"1{CPU_UP_PREPARE}3{CPU_UP_PREPARE}1{CPU_UP_CANCELED}")
    assert m.run(audit_hotplug) == []
    m.run(unregister_cpu_notifier, objects)
    assert (m.run(cpu_up, 1), m.run(audit_hotplug)) == (0, [])


@pytest.mark.parametrize("priority", [20, 0])
def test_migration_thread_is_undone(old, priority):
    """A veto before, and after, the migration thread was created."""
    m = old(2)
    m.run(cpu_down, 1)
    m.run(register_cpu_notifier, objects, priority)
    assert [m.run(cpu_up, 1) for _ in range(3)] == [-EINVAL] * 3
    assert m.run(audit_hotplug) == []


def test_a_notifier_that_raises_objects(old):
    """And its traceback is printed."""
    lines: list[str] = []
    m = old(2, console=lines.append)
    m.run(cpu_down, 1)
    m.run(register_cpu_notifier, raises)
    assert (m.run(cpu_up, 1), m.run(audit_hotplug)) == (-EINVAL, [])
    assert any("a notifier's own bug" in line for line in lines)


def test_registering_twice(old):
    """And unregistering what is not there: UsageError."""
    m = old(2)
    m.run(register_cpu_notifier, first)
    with pytest.raises(kemu.UsageError, match="registered already"):
        m.run(register_cpu_notifier, first)
    with pytest.raises(kemu.UsageError, match="is not registered"):
        m.run(unregister_cpu_notifier, second)


def spin(data: object) -> int:
    while not kthread_should_stop():
        sched.cpu_relax()
    return sched.smp_processor_id()


def down_under_a_busy_thread() -> tuple[int, int]:
    k = kthread_run(spin, None, "busy")
    sched.set_cpus_allowed_ptr(k, 1 << 1)
    down = cpu_down(1)
    return down, kthread_stop(k)


def test_running_tasks_are_moved(old):
    """A thread bound to the CPU alone goes on elsewhere."""
    down, where = old(3).run(down_under_a_busy_thread)
    assert (down, where != 1) == (0, True)


def mask_after_its_cpu_went() -> int:
    k = kthread_run(sleep_until_stopped, None, "sleeper")
    sched.set_cpus_allowed_ptr(k, 0b10)
    sched.wait_task_inactive(k, sched.TASK_INTERRUPTIBLE)
    sched.migration.do_set_cpus_allowed(k, 0b11)
    cpu_down(1)
    mask: int = k.cpus_allowed.load()
    kthread_stop(k)
    return mask


def test_a_task_that_may_go_elsewhere_keeps_its_mask(old):
    """Only a task that has no other CPU loses its affinity."""
    assert old(3).run(mask_after_its_cpu_went) == 0b11


def sleep_across() -> int:
    """A task whose timer is on the CPU that dies."""
    sched.schedule_timeout_uninterruptible(100)
    return sched.smp_processor_id()


def test_sleepers_wake(old):
    """Their timers and their tasks move."""
    m = old(2)
    sleeper = m.start(sleep_across, cpu=1)
    assert (m.run(cpu_down, 1), sleeper.result(20)) == (0, 0)


class Ran(PerCPU):
    """Where a softirq ran."""

    times = Word()


def count_softirq(cpu: int) -> None:
    Ran.on(cpu).times.add(1)


def raise_here() -> None:
    open_softirq(3, count_softirq)
    raise_softirq(3)


def test_softirqs_after_a_cycle(old):
    """A CPU that came back has a ksoftirqd that works."""
    m = old(2)
    for _ in range(3):
        assert (m.run(cpu_down, 1), m.run(cpu_up, 1)) == (0, 0)
        m.run(raise_here, cpu=1)
    m.run(sched.schedule_timeout_uninterruptible, 20)
    with m.looking():
        assert Ran.on(1).times.load() >= 1


def down_from_inside(action: int, cpu: int) -> int:
    if action == CPU_ONLINE:
        cpu_down(cpu)
    return NOTIFY_OK


def test_hotplug_from_a_notifier(old):
    """It would wait for itself: told at once."""
    m = old(3)
    m.run(cpu_down, 1)
    m.run(register_cpu_notifier, down_from_inside)
    with pytest.raises(kemu.KernelBug, match="locks a mutex it holds"):
        m.run(cpu_up, 1)


def hold_off() -> tuple[int, ...]:
    with cpu_hotplug_locked():
        sched.schedule_timeout_uninterruptible(5)
        return tuple(sched.online_cpus())


def test_lock_cpu_hotplug(old):
    """While it is held no CPU goes."""
    m = old(2)
    held = m.start(hold_off)
    assert (m.run(cpu_down, 1, cpu=1), held.result()) in ((0, (0, 1)), (0, (0,)))


@pytest.mark.parametrize(("kernel", "call"), [("2.6.6", modern.cpu_down), ("2.6.6", modern.cpu_up),
                                              ("4.13", cpu_down), ("4.13", cpu_up)])
def test_the_other_kernels_functions(machine, kernel, call):
    """Each error names the version that has the function, and the function to call."""
    with pytest.raises(kemu.UsageError, match="and the machine runs"):
        machine(2, kernel=kernel).run(call, 1)


def test_no_such_kernel():
    """The names there are."""
    with pytest.raises(kemu.UsageError, match=r"'4\.13', '2\.6\.6'"):
        kemu.Machine(2, kernel="2.4")


def test_no_stoppers(old):
    """A work on a stopper that is not there is refused, as by one that is not enabled."""
    assert old(2).run(cpu_stop.stop_one_cpu, 1, sched.smp_processor_id) == -ENOENT


def masks() -> tuple[int, int]:
    return board.header.online_mask.load(), board.header.active_mask.load()


def test_one_mask(old):
    """Online and active are the same."""
    m = old(4)
    m.run(cpu_down, 2)
    assert m.run(masks) == (0b1011, 0b1011)


def answers_nothing(action: int, cpu: int) -> None:
    pass


def test_a_notifier_without_an_answer_objects(old):
    """And is told what an answer is."""
    lines: list[str] = []
    m = old(2, console=lines.append)
    m.run(cpu_down, 1)
    m.run(register_cpu_notifier, answers_nothing)
    assert (m.run(cpu_up, 1), m.run(audit_hotplug)) == (-EINVAL, [])
    assert any("NOTIFY_DONE" in line for line in lines)


def sleep_until_stopped(data: object) -> int:
    while not kthread_should_stop():
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not kthread_should_stop():
            sched.schedule()
    sched.set_current_state(sched.TASK_RUNNING)
    return 0


def down_with_little_room(room: int) -> tuple[int, int, list[str]]:
    """cpu_down with that many task slots left, and again with as many as it likes."""
    threads = []
    with contextlib.suppress(kemu.OutOfMemory):
        while True:
            threads.append(kthread_run(sleep_until_stopped, None, "filler"))
    for k in threads[:room]:
        kthread_stop(k)
    little = cpu_down(2)
    found = audit_hotplug() + [f"{p} is left" for p in board.tasks.used()
                               if p.comm.startswith("stopmachine") and not p.ended.load()]
    for k in threads[room:]:
        kthread_stop(k)
    return little, cpu_down(2), found


def never_called(action: int, cpu: int) -> int:
    return NOTIFY_OK


def blocks_of_moves_and_notifiers() -> tuple[int, int]:
    """In use after one move and one registration, and after three more."""
    set_cpus_allowed(sched.current(), 0b11)
    found = []
    for times in (1, 3):
        for _ in range(times):
            register_cpu_notifier(never_called)
            unregister_cpu_notifier(never_called)
            sched_migrate_task(sched.current(), 1 - sched.smp_processor_id())
        found.append(blocks_at_rest())
    return found[0], found[1]


def test_requests_and_notifiers_leave_no_block(old):
    """Of the heap."""
    first, last = old(2).run(blocks_of_moves_and_notifiers)
    assert last == first


def where_a_helper_goes() -> list[int]:
    """With three CPUs, and on the last one that is online."""
    found = [kmod._destination()]
    cpu_down(2)
    cpu_down(1)
    return [*found, kmod._destination()]


def test_a_helper_of_keventd_goes_to_another_cpu(old):
    """To the highest; it stays if no other CPU is online."""
    assert old(3).run(where_a_helper_goes) == [2, 0]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_no_room_for_the_threads(old, room):
    """-ENOMEM, and the CPU is as it was; with room it goes."""
    assert old(3, tasks=40).run(down_with_little_room, room) == (-ENOMEM, 0, [])


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 4, 8, 16, 30])
def test_a_cpu_is_killed_on_its_way(old, milliseconds):
    """Sooner or later in a cycle: MachineError, never a hang."""
    m = old(3)
    going = m.start(cycle_for_ever)
    time.sleep(milliseconds / 1000)
    os.kill(m.pids[1], signal.SIGKILL)
    with pytest.raises(kemu.MachineError):
        going.result(30)


def cycle_for_ever() -> None:
    while True:
        cpu_down(1)
        cpu_up(1)


def up_and_look(rounds: int) -> list[tuple[int, int]]:
    """The masks as cpu_up() returns, each time."""
    seen = []
    for _ in range(rounds):
        cpu_down(2)
        cpu_up(2)
        seen.append(masks())
    return seen


def test_both_masks_are_set_when_cpu_up_returns(old):
    """The CPU set active after online, which was what cpu_up() waited for."""
    assert set(old(3).run(up_and_look, 60)) == {(0b111, 0b111)}


def restart_with_interrupts_off() -> bool:
    sched.local_irq_save()
    restart_machine()
    return bool(sched.irqs_disabled())


def test_the_thread_that_stopped_the_machine_takes_interrupts_again(old):
    """When it has let the other CPUs go."""
    assert not old(1).run(restart_with_interrupts_off)


def note_the_dead(cpu: int) -> None:
    Journal.on(0).digits.store(7)


def test_a_dead_cpu_is_searched_for_tasks(old):
    """By cpu_down(), at its end (S64)."""
    m = old(2, overrides=[make_override(check_for_tasks, note_the_dead)])
    assert m.run(cpu_down, 1) == 0
    with m.looking():
        assert Journal.on(0).digits.load() == 7
