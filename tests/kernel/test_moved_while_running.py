"""A task that runs where its new mask forbids it, until it is moved: PF_MIGRATING says so.

The audit relies on it (S9): a task that runs outside its mask without the flag is a violation.
"""

from __future__ import annotations

import pytest

from kemu import native
from kemu.kernel import sched
from kemu.kernel.fork import get_task_struct
from kemu.kernel.kthread import kthread_bind, kthread_create
from kemu.kernel.sched import current, set_cpus_allowed_ptr, wake_up_process
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.sched.state import PF_MIGRATING
from kemu.kernel.v2_6.migration import set_cpus_allowed
from tests.kernel.test_sched import stop
from tests.kernel.threads import Shared

CPU = 1


def sees_its_flag(shared: Shared) -> None:
    """On CPU 1, which it cannot leave before it enables preemption: what it sees once its mask changes."""
    me = current()
    native.preempt_disable()
    complete(shared.ran)
    while me.cpus_allowed.load() >> CPU & 1:
        sched.cpu_relax()
    flags = me.pi_lock.lock_irqsave()       # the mover holds it until it has stored mask and flag
    shared.seen.store(1 + bool(me.flags.load() & PF_MIGRATING))
    me.pi_lock.unlock_irqrestore(flags)
    native.preempt_enable()
    while sched.smp_processor_id() == CPU:
        sched.cond_resched()
    complete(shared.ran)


def move_it(mover):
    shared = Shared.alloc()
    k = kthread_create(sees_its_flag, shared, "k")
    get_task_struct(k)
    kthread_bind(k, CPU)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    ret = mover(k, 0b01)
    after = bool(k.flags.load() & PF_MIGRATING)
    wait_for_completion(shared.ran)
    stop(k)
    return ret, shared.seen.load() - 1, after


@pytest.mark.parametrize(("kernel", "mover"), [("4.13", set_cpus_allowed_ptr), ("2.6.6", set_cpus_allowed)])
def test_the_flag_is_set_until_the_task_has_moved(machine, kernel, mover):
    """It is there when the mask changes, and not any more when the mover returns."""
    assert machine(2, kernel=kernel).run(move_it, mover) == (0, True, False)
