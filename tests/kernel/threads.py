"""Thread functions, and shared words, that the tests of this directory have in common.

A thread tells that it runs by a completion; a test that needs it to have run waits
for that, never for time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kemu import native
from kemu.kernel import sched
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import (kthread_bind, kthread_create, kthread_parkme, kthread_should_park,
                                 kthread_should_stop, kthread_stop)
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.own.system import system
from kemu.kernel.sched import wake_up_process
from kemu.memory.struct import Embedded, PerCPU, Struct, Word
from kemu.memory.views import Task


class Shared(Struct):
    """What a test and its threads share; threads get it as their data."""

    ran = Embedded(Completion)      # one event per run of the function
    gate = Word()                   # 0 keeps spin() spinning
    seen = Word()
    digits = Word()                 # a journal, read as a decimal number


class Board(PerCPU):
    """As Shared, where a function gets a CPU and no data."""

    ran = Embedded(Completion)
    work = Word()
    digits = Word()
    where = Word()


def note(digits: native.Word, digit: int) -> None:
    """Append a digit to a journal.  Any number of writers."""
    old = digits.load()
    while (seen := digits.cmpxchg(old, old * 10 + digit)) != old:
        old = seen


def sleeper(shared: Shared | None) -> int:
    """Sleep until told to park or to stop; tell each time it begins.  Returns 7."""
    if shared:
        complete(shared.ran)
    while not kthread_should_stop():
        if kthread_should_park():
            kthread_parkme()
            if shared:
                complete(shared.ran)
            continue
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not (kthread_should_stop() or kthread_should_park()):
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)
    return 7


def spin(shared: Shared) -> int:
    """Keep the CPU until the gate opens, open to preemption.  Returns 7."""
    complete(shared.ran)
    while not shared.gate.load():
        sched.cpu_relax()
    return 7


def where(shared: Shared) -> int:
    """Tell, and return, the CPU and the host core: 1000 * CPU + core."""
    complete(shared.ran)
    return 1000 * sched.smp_processor_id() + native.getcpu()


def until_queued(p: Task) -> None:
    """Wait until a task is on a runqueue."""
    p.on_rq.wait_while(0)


def blocks_at_rest() -> int:
    """How many blocks of the heap are in use, when every thread that has ended has freed its last one."""
    wait_until_quiet()
    blocks: int = system.header.heap_blocks.load()
    return blocks


def until_asleep(p: Task, state: int) -> None:
    """Wait until a task sleeps in that state, off its CPU."""
    while not sched.wait_task_inactive(p, state):
        sched.cond_resched()


@contextmanager
def hog(cpu: int, priority: int = 50) -> Iterator[Shared]:
    """A FIFO thread that keeps a CPU to itself until the block ends, or its gate opens."""
    shared = Shared.alloc()
    k = kthread_create(spin, shared, "hog")
    kthread_bind(k, cpu)
    sched.sched_setscheduler(k, sched.SCHED_FIFO, priority)
    get_task_struct(k)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    try:
        yield shared
    finally:
        shared.gate.store(1)
        kthread_stop(k)
        put_task_struct(k)
