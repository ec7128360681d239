"""kstopmachine: a thread keeps every other CPU busy, while one CPU runs a function alone.

Linux: kernel/stop_machine.c (2.6.6).

do_stop() runs on the CPU where the function is to run.  It creates a thread for each other
CPU, waits until all of them run there, has them turn preemption off and then interrupts
off, and runs the function.

    sm.state        <- WAIT, PREPARE, DISABLE_IRQ, EXIT: by do_stop (release)
    sm.thread_ack   += 1 by each thread for each state; 0 by do_stop, before the next state

All of these threads are FIFO 99, like a CPU's migration thread.  Of the two, the thread that
comes second on a CPU waits until the first sleeps or yields.

Locks: stopmachine_mutex, inside the hotplug lock.  Callers: cpu.
"""

from __future__ import annotations

from errno import ENOMEM
from typing import Any, Final

from kemu.errors import OutOfMemory
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.kthread import kthread_should_stop, kthread_stop
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.schedule import schedule, yield_
from kemu.kernel.sched.state import (TASK_INTERRUPTIBLE, TASK_RUNNING, __set_current_state,
                                     set_current_state)
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.v2_6.kthread import bind_first, kernel_thread, kthread_create
from kemu.memory import functions
from kemu.memory.struct import Embedded, PerCPU, Struct, Word
from kemu.memory.views import Task
from kemu.native import (local_irq_restore, local_irq_save, preempt_disable, preempt_enable,
                         smp_processor_id)


STOPMACHINE_WAIT, STOPMACHINE_PREPARE, STOPMACHINE_DISABLE_IRQ, STOPMACHINE_EXIT = range(4)


class StopMachine(PerCPU, keep=True):
    """The state of kstopmachine.  Only CPU 0's copy is used."""

    mutex: Final = Embedded(Mutex)
    num_threads: Final = Word()
    thread_ack: Final = Word()
    state: Final = Word()


class StopMachineData(Struct):
    """struct stop_machine_data.  It belongs to the initiator, which waits for done."""

    fn: Final = Word()
    data: Final = Word()
    ret: Final = Word()
    done: Final = Embedded(Completion)


def stopmachine(cpu: int) -> int:
    """Keep a CPU busy until the machine goes on.  A thread's function."""
    sm = StopMachine.on(0)
    seen = STOPMACHINE_WAIT
    sm.thread_ack.add(1)
    while seen != STOPMACHINE_EXIT:
        if seen == STOPMACHINE_WAIT:
            yield_()            # do_stop may need this CPU to make the other threads
            sm.state.relax_while(seen)
            state = sm.state.load_acquire()
        else:
            state = sm.state.wait_while(seen)
        if state == seen:
            continue
        seen = state
        if seen == STOPMACHINE_PREPARE:
            preempt_disable()
        elif seen == STOPMACHINE_DISABLE_IRQ:
            local_irq_save()
        sm.thread_ack.add(1)
    local_irq_restore(0)
    preempt_enable()
    return 0


def stopmachine_set_state(sm: StopMachine, state: int) -> None:
    """Set the state, and wait until all threads have reached it.  Polls."""
    sm.thread_ack.store(0)
    sm.state.store_release(state)
    _wait_for_acks(sm)


def _wait_for_acks(sm: StopMachine) -> None:
    acks = sm.thread_ack.load()
    while acks != sm.num_threads.load():
        acks = sm.thread_ack.wait_while(acks)


def create_threads(cpus: list[int]) -> list[Task]:
    """Create a thread for each CPU.  None has run yet.  [] if task slots run out.  May sleep.

    All threads are created before any runs.  Otherwise a new thread, which is not FIFO yet, would
    starve behind a thread that runs.
    """
    threads: list[Task] = []
    try:
        for cpu in cpus:
            thread = kernel_thread(stopmachine, cpu, cpu, "stopmachine/%u")
            threads.append(bind_first(thread, cpu))
    except OutOfMemory:
        for thread in threads:
            kthread_stop(thread)
        return []
    return threads


def stop_machine() -> int:
    """Stop every other CPU.  Runs in do_stop; returns 0 with interrupts off, or -ENOMEM."""
    sm, here = StopMachine.on(0), smp_processor_id()
    others = [cpu for cpu in online_cpus() if cpu != here]
    sm.thread_ack.store(0)
    sm.num_threads.store(len(others))
    sm.state.store(STOPMACHINE_WAIT)
    threads = create_threads(others)
    if len(threads) < len(others):
        return -ENOMEM
    for thread in threads:
        wake_up_process(thread)
    while (acks := sm.thread_ack.load()) != len(others):
        yield_()
        sm.thread_ack.relax_while(acks)
    local_irq_save()        # from here on no interrupt and no task may take this CPU
    stopmachine_set_state(sm, STOPMACHINE_PREPARE)
    stopmachine_set_state(sm, STOPMACHINE_DISABLE_IRQ)
    return 0


def restart_machine() -> None:
    """Let the other CPUs go on."""
    stopmachine_set_state(StopMachine.on(0), STOPMACHINE_EXIT)
    local_irq_restore(0)


def do_stop(smdata: StopMachineData) -> int:
    """Stop the machine, run the function, restart the machine; then sleep until stopped.

    A thread's function.  Once done is complete, the data belongs to the initiator again.
    """
    fn, data = functions.load(smdata.fn.load()), smdata.data.load()
    ret = stop_machine()
    if not ret:
        ret = fn(data)
        restart_machine()
    smdata.ret.store(ret)
    complete(smdata.done)
    set_current_state(TASK_INTERRUPTIBLE)
    while not kthread_should_stop():
        schedule()
        set_current_state(TASK_INTERRUPTIBLE)
    __set_current_state(TASK_RUNNING)
    return ret


def __stop_machine_run(fn: Any, data: int, cpu: int) -> tuple[Task | None, int]:
    """Run fn(data) on a CPU while all others stand still.  Caller holds the hotplug lock.  May sleep.

    Returns the thread that ran fn, and what fn returned.  The thread sleeps, and the caller must
    stop it.  If task slots run out, returns -ENOMEM, and maybe no thread.
    """
    with StopMachine.on(0).mutex:
        smdata = StopMachineData.alloc()
        try:
            smdata.fn.store(functions.publish(fn))
            smdata.data.store(data)
            p = bind_first(kthread_create(do_stop, smdata, cpu, "kstopmachine/%u"), cpu)
            wake_up_process(p)
            wait_for_completion(smdata.done)
            return p, smdata.ret.load()
        except OutOfMemory:
            return None, -ENOMEM
        finally:
            smdata.free()
