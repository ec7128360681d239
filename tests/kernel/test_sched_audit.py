"""The audit of the scheduler finds each invariant that is broken."""

from __future__ import annotations

import pytest

from kemu import native
from kemu.errors import KernelBug
from kemu.kernel import sched
from kemu.kernel.kthread import kthread_create, kthread_stop
from kemu.kernel.sched.audit import audit
from kemu.kernel.sched.runqueue import RT, activate_task, idle_tasks, runqueues
from kemu.kernel.sched.state import TASK_WAKING
from tests.kernel.threads import sleeper, until_asleep


def audit_with(word, value):
    """What the audit says while a word has another value.  No interrupt can see it on this CPU."""
    flags = native.local_irq_save()
    before = word.load()
    word.store(value)
    found = audit()
    word.store(before)
    native.local_irq_restore(flags)
    return found


CASES = {
    "S1: sleeper is linked nowhere": lambda k: (k.on_rq, 1),
    "S1: current is linked with on_rq 0": lambda k: (sched.current().on_rq, 0),
    "S4: current is in the queue of another class": lambda k: (sched.current().sched_class, RT),
    "S5: sleeper is no CPU's current": lambda k: (k.on_cpu, 1),
    "S7: nobody wakes sleeper": lambda k: (k.state, TASK_WAKING),
    "S9: current may not run here": lambda k: (sched.current().cpus_allowed, 0b10),
    "S11: swapper/1 sleeps": lambda k: (idle_tasks[1].state, sched.TASK_UNINTERRUPTIBLE),
    "S11: swapper/1 is off its queue": lambda k: (idle_tasks[1].on_rq, 0),
}


def audit_case(case):
    k = kthread_create(sleeper, None, "sleeper")
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    found = audit_with(*CASES[case](k)), audit()
    kthread_stop(k)
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_audit_finds(machine, case):
    """And nothing once the word is as it was."""
    broken, whole = machine(2).run(audit_case, case)
    assert case.split(":")[0] in [line.split(":")[0] for line in broken]
    assert whole == []


def queue_one_of_no_class():
    k = kthread_create(sleeper, None, "sleeper")
    until_asleep(k, sched.TASK_UNINTERRUPTIBLE)
    k.sched_class.store(77)
    activate_task(runqueues[1], k)


def test_a_task_of_no_class_cannot_be_queued(machine):
    """It is a BUG, which names the task."""
    with pytest.raises(KernelBug, match="sleeper"):
        machine(2).run(queue_one_of_no_class)
