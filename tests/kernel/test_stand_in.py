"""A stand-in's turn comes on another CPU while it is in an interrupt: neither CPU waits for the other."""

from __future__ import annotations

import pytest

from kemu.kernel import kthread, sched
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.sched.completion import Completion, complete, completion_on_stack, wait_for_completion
from kemu.kernel.sched.runqueue import runqueues
from kemu.memory.struct import Embedded, PerCPU, TaskRef, Word
from kemu.native import smp_processor_id
from tests.kernel.test_idle import PATIENCE

ROUNDS = 20


class Stage(PerCPU):
    """Of CPU 0."""

    sleeper = TaskRef()
    caller = TaskRef()
    in_interrupt = Word()
    late = Embedded(Completion)


def interrupt(arg: int) -> None:
    """On CPU 0, where the sleeper stands in for swapper: wait until CPU 1 runs the sleeper, then act."""
    stage = Stage.on(0)
    k = stage.sleeper.get()
    stage.in_interrupt.store(1)
    while not (k.on_cpu.load() or k.ended.load()):
        pass
    runqueues[1].lock.lock()            # CPU 1 must not keep it until the sleeper has its turn
    runqueues[1].lock.unlock()
    sched.wake_up_process(stage.caller.get())       # it waits until the caller is off CPU 1
    complete(stage.late)


def sleeper(done: Completion) -> int:
    """Sleep on CPU 0, where nothing else runs; then run where it is woken."""
    complete(done)
    sched.set_current_state(sched.TASK_INTERRUPTIBLE)
    sched.schedule()
    return smp_processor_id()


def dies(data: None) -> None:
    """Wake the sleeper behind itself on CPU 1, and end: the last switch of this task is to the sleeper."""
    _move_and_wake()


def _move_and_wake() -> None:
    """The sleeper, whose thread is in the interrupt, gets its turn on CPU 1 when the caller leaves."""
    k = Stage.on(0).sleeper.get()
    Stage.on(0).in_interrupt.store(0)
    smp_call_function_single(0, interrupt, 0, False)
    while not Stage.on(0).in_interrupt.load():
        sched.cpu_relax()
    sched.set_cpus_allowed_ptr(k, 0b10)
    sched.wake_up_process(k)


def give_turns(by_a_task_that_dies: bool) -> list[int]:
    """On CPU 1: where the sleeper ran, in each round."""
    stage, ran = Stage.on(0), []
    with completion_on_stack() as done:
        for _ in range(ROUNDS):
            other = kthread.kthread_create_on_node(dies, None, 0, "dies", home=1)
            kthread.kthread_bind(other, 1)
            k = kthread.kthread_create_on_node(sleeper, done, 0, "sleeper", home=0)
            sched.set_cpus_allowed_ptr(k, 0b01)
            sched.wake_up_process(k)
            wait_for_completion(done)
            sched.wait_task_inactive(k, sched.TASK_INTERRUPTIBLE)
            stage.sleeper.set(k)
            stage.caller.set(sched.current())
            if by_a_task_that_dies:
                sched.wake_up_process(other)
            else:
                kthread.kthread_stop(other)
                _move_and_wake()
            wait_for_completion(stage.late)
            ran.append(kthread.kthread_stop(k))
    return ran


@pytest.mark.parametrize("by_a_task_that_dies", [False, True])
def test_the_interrupt_may_take_the_runqueues_lock(machine, by_a_task_that_dies):
    """The task that leaves unlocks it, and stores that it is off its CPU, before the turn is taken."""
    assert machine(2).run(give_turns, by_a_task_that_dies, cpu=1, timeout=PATIENCE) == [1] * ROUNDS
