"""Requests to migration threads, and what the audit makes of a broken one."""

from __future__ import annotations

from errno import EINVAL

import pytest

import kemu
from kemu.kernel import sched
from kemu.kernel.kthread import kthread_run, kthread_should_stop, kthread_stop
from kemu.kernel.sched.completion import (Completion, complete, completion_on_stack,
                                          wait_for_completion)
from kemu.kernel.v2_6 import migration
from kemu.kernel.v2_6.audit import audit_hotplug
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up
from kemu.kernel.v2_6.migration import (Migration, migration_req, sched_migrate_task,
                                        set_cpus_allowed)

EVERYWHERE = 0b111


@pytest.fixture
def old(machine):
    return lambda cpus=3, **options: machine(cpus, kernel="2.6.6", **options)


def go_round() -> list[int]:
    me, seen = sched.current(), []
    set_cpus_allowed(me, EVERYWHERE)
    for cpu in (1, 2, 0, 2):
        sched_migrate_task(me, cpu)
        seen.append(sched.smp_processor_id())
    return seen


def test_a_running_task_is_moved(old):
    """By the migration thread of the CPU it runs on."""
    assert old().run(go_round) == [1, 2, 0, 2]


def test_what_is_no_task_is_refused(old):
    """With an error that says so, and no request is left behind."""
    with pytest.raises(kemu.UsageError, match="a task is wanted, not int"):
        old().run(sched_migrate_task, 1, 1)


def migrate_where_it_may_not() -> int:
    sched_migrate_task(sched.current(), 1)
    return sched.smp_processor_id()


def test_the_mask_counts(old):
    """A task does not go where its mask forbids it, and no message says so."""
    assert old().run(migrate_where_it_may_not) == 0


def migrate_to_the_dead() -> int:
    set_cpus_allowed(sched.current(), EVERYWHERE)
    cpu_down(1)
    sched_migrate_task(sched.current(), 1)
    return sched.smp_processor_id()


def test_an_offline_cpu_is_left_alone(old):
    """Best effort: the task stays."""
    m = old()
    assert m.run(migrate_to_the_dead) != 1
    assert m.run(audit_hotplug) == []


def confine(mask: int) -> int:
    return set_cpus_allowed(sched.current(), mask)


def confine_to_the_dead() -> tuple[int, int]:
    cpu_down(1)
    before = sched.current().cpus_allowed.load()
    return confine(0b010), sched.current().cpus_allowed.load() == before


def test_masks_without_an_online_cpu(old):
    """-EINVAL, and the old mask stays."""
    m = old()
    assert (m.run(confine, 0), m.run(confine, 1 << 40)) == (-EINVAL, -EINVAL)
    assert m.run(confine_to_the_dead) == (-EINVAL, True)


def spin(data: object) -> int:
    while not kthread_should_stop():
        sched.cpu_relax()
    return sched.smp_processor_id()


def begin_and_spin(began: Completion) -> int:
    complete(began)
    return spin(None)


def push_another() -> int:
    with completion_on_stack() as began:
        k = kthread_run(begin_and_spin, began, "pushed")
        for cpu in (1, 2, 1):
            set_cpus_allowed(k, 1 << cpu)
        wait_for_completion(began)      # a thread that is stopped before it runs returns -EINTR
    return kthread_stop(k)


def test_another_task_is_pushed(old):
    """Asleep, queued or running."""
    assert old().run(push_another) == 1


def push_many(n: int) -> int:
    """Many requests for many tasks at once."""
    threads = [kthread_run(spin, None, "pushed") for _ in range(n)]
    for round_ in range(4):
        for number, k in enumerate(threads):
            set_cpus_allowed(k, 1 << (number + round_) % 3)
    return sum(kthread_stop(k) == (number + 3) % 3 for number, k in enumerate(threads))


def test_several_requesters(old):
    """Each ends where it was last sent."""
    m = old()
    handles = [m.start(push_many, 4, cpu=cpu) for cpu in range(3)]
    assert [handle.result() for handle in handles] == [4] * 3


def leave_a_request_behind() -> None:
    with migration_req() as req:
        Migration.on(1).queue.add(req.base)


def test_a_request_outlives_its_frame(old):
    """S80: found when the frame ends, not when somebody follows the pointer."""
    with pytest.raises(kemu.KernelBug, match="S80"):
        old().run(leave_a_request_behind)


def lose_the_thread() -> list[str]:
    thread = Migration.on(1).thread.get()
    Migration.on(1).thread.set(None)
    try:
        return audit_hotplug()
    finally:
        Migration.on(1).thread.set(thread)


def leave_one_on_the_dead() -> list[str]:
    cpu_down(1)
    with migration_req() as req:
        Migration.on(1).queue.add(req.base)
        found = audit_hotplug()
        req.memory.list_del(req.base)
    return found


def come_up_with_a_request() -> None:
    cpu_down(1)
    with migration_req() as req:
        Migration.on(1).queue.add(req.base)
        cpu_up(1)


def test_the_audit_finds(old):
    """A lost thread, a request on a dead CPU."""
    assert [line[:19] for line in old().run(lose_the_thread)] == ["S81: cpu1 is online"]
    assert [line[:3] for line in old().run(leave_one_on_the_dead)] == ["S83"]


def test_a_stale_request_is_found_on_the_way_up(old):
    """Before a new thread would follow it into a frame that is gone."""
    with pytest.raises(kemu.KernelBug, match="S83"):
        old().run(come_up_with_a_request)


def test_migrate_running_is_this_kernels(old):
    """set_cpus_allowed_ptr() moves a running task here, too."""
    assert old().run(hop) == [1, 2, 0]


def hop() -> list[int]:
    seen = []
    for cpu in (1, 2, 0):
        assert sched.set_cpus_allowed_ptr(sched.current(), 1 << cpu) == 0
        seen.append(sched.smp_processor_id())
    return seen


def test_balance_prefers_where_there_is_less(old):
    """With two others beside it a task goes; alone it stays."""
    m = old()
    spinners = [m.start(spin_a_while) for _ in range(2)]
    assert m.run(balance) != 0
    for spinner in spinners:
        spinner.result()
    assert m.run(balance) == 0


def spin_a_while() -> None:
    until = kemu.native.now_ns() + 300_000_000
    while kemu.native.now_ns() < until:
        sched.cpu_relax()


def balance() -> int:
    set_cpus_allowed(sched.current(), EVERYWHERE)
    if sched.smp_processor_id():
        raise AssertionError("the mask alone moves nobody")
    migration.sched_balance_exec()
    return sched.smp_processor_id()


def migrate_to(cpu: object) -> None:
    sched_migrate_task(sched.current(), cpu)


@pytest.mark.parametrize(("call", "arg"), [(migrate_to, -1), (migrate_to, 3), (migrate_to, "1"),
                                           (migrate_to, None), (confine, "all"), (confine, None)])
def test_garbage(old, call, arg):
    """UsageError, before any lock is taken: the machine goes on."""
    m = old()
    with pytest.raises(kemu.UsageError):
        m.run(call, arg)
    assert m.run(confine, 1) == 0
