"""A call that the caller may not make, because its wait would never end, is refused."""

from __future__ import annotations

import pytest

import kemu
from kemu import native
from kemu.kernel import kthread, sched
from tests.native.memories import as_task, cpu_word, in_task, small, task_word, together

GARBAGE = [-1, 0, 1, 5, 100, native.TASK_DEAD, native.TASK_PARKED, native.TASK_WAKING, 1 << 62]


def refused(call, *args):
    """What the call's UsageError says."""
    with pytest.raises(kemu.UsageError) as error:
        call(*args)
    return str(error.value)


def garbage():
    """In a task of a machine: each call with what it cannot use."""
    said = [refused(native.wait_turn), refused(native.idle)]
    said += [refused(native.set_special_state, state) for state in GARBAGE]
    said += [refused(native.finish_switch, last) for last in (*GARBAGE, 1 << 32, 1 << 33)]
    return said, sched.current().state.load()


def test_a_task_is_refused_what_only_other_tasks_may_do(machine):
    """The error says what to call; the task runs on."""
    said, state = machine().run(garbage)
    assert state == sched.TASK_RUNNING
    assert all("wait" in text or "schedule" in text or "set_current_state" in text for text in said)


def test_preemption_cannot_be_enabled_below_zero():
    """Not even where an unlock came after one preempt_enable() too many."""
    memory = small()

    def body():
        lock = native.SpinLock(memory, memory.heap_alloc(8))
        lock.lock()
        native.preempt_enable_no_resched()
        lock.unlock()
        return refused(native.preempt_enable), native.preempt_count()

    assert in_task(memory, body)[1] == -1


@pytest.mark.parametrize("mask", [native.TASK_DEAD, native.TASK_WAKING, native.POISON, -1])
def test_a_dead_task_is_not_woken(mask):
    """Its thread has ended, so the wait of a CPU that switched to it would never end."""
    memory = small()
    task_word(memory, 1, "state").store(native.TASK_DEAD)
    assert "cannot be woken" in in_task(
        memory, lambda: refused(native.try_to_wake_up, 1, mask))
    assert task_word(memory, 1, "state").load() == native.TASK_DEAD


def park_and_stop():
    def loop(data):
        while not kthread.kthread_should_stop():
            if kthread.kthread_should_park():
                kthread.kthread_parkme()
            sched.cpu_relax()
        return 7

    k = kthread.kthread_create_on_cpu(loop, None, 1, "loop/%u")
    kthread.kthread_unpark(k)
    kthread.kthread_park(k)
    return kthread.kthread_stop(k)


def test_those_who_are_entitled_are_not_refused(machine):
    """A kernel thread parks, is unparked, and dies; a new task waits for its turn; CPUs idle."""
    assert machine().run(park_and_stop) == 7


def test_only_the_idle_task_idles():
    """Of two tasks of a CPU, the one that the CPU names."""
    memory = small()
    cpu_word(memory, 0, "idle").store(1)
    assert "not the idle task" in in_task(memory, lambda: refused(native.idle), slot=0)
    cpu_word(memory, 0, "need_resched").store(1)
    assert in_task(memory, native.idle, slot=1) & native.WHY_RESCHED


def test_a_new_task_waits_for_its_first_turn_once():
    """The second time nobody would give it one."""
    memory = small()
    task_word(memory, 0, "turn").store(2)

    def body():
        return native.wait_turn(), refused(native.wait_turn)

    assert together(as_task(memory, body))[0][0] == 1
