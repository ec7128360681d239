"""The park and unpark round trip: its two tasks, and the times of one trip.

kthread_unpark() does not wait until the thread has run: a park that follows at once
may find the thread still in its park loop, and park it again.  So the worker
acknowledges each time it has left the loop, and the caller waits for that: four
hand-overs.

    caller, CPU 0                     worker, CPU 1
      kthread_unpark         --1-->     leaves the park loop, notes the time
      wait_for_completion    <--2--     complete(acknowledged)
      kthread_park           --3-->     kthread_parkme
      (has waited)           <--4--       complete(parked)

kemu's own (Linux has no such test).  Locks: none.  Callers: measures; bench.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from kemu import native
from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import Completion, complete, completion_on_stack, wait_for_completion
from kemu.memory.struct import PerCPU, Word

WORKER = "worker/%u"
OTHER = 1           # the CPU that the measured task runs on; the caller runs on CPU 0


class Ran(PerCPU, keep=True):
    """Of the other CPU: when the measured task last began to run, in CLOCK_MONOTONIC ns."""

    ns: Final = Word()


class Trip(NamedTuple):
    """The times of one round trip, in nanoseconds."""

    unpark: int         # from the call of kthread_unpark() until the worker runs
    park: int           # the whole call of kthread_park()
    whole: int


def worker(acknowledged: Completion) -> None:
    """Acknowledge once when started, and after each unpark.  Runs as a kthread."""
    ran = Ran.on(OTHER).ns
    complete(acknowledged)
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
            ran.store(native.now_ns())
            if not kthread.kthread_should_stop():
                complete(acknowledged)
            continue
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not (kthread.kthread_should_park() or kthread.kthread_should_stop()):
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)


@contextmanager
def parking() -> Iterator[Callable[[], Trip]]:
    """A worker on the other CPU, and a function that makes one trip with it.  May sleep."""
    now, ran = native.now_ns, Ran.on(OTHER).ns
    with completion_on_stack() as acknowledged:
        k = kthread.kthread_create_on_cpu(worker, acknowledged, OTHER, WORKER)

        def trip() -> Trip:
            began = now()
            kthread.kthread_unpark(k)
            wait_for_completion(acknowledged)
            asked = now()
            kthread.kthread_park(k)
            ended = now()
            return Trip(ran.load() - began, ended - asked, ended - began)

        trip()          # the thread was created parked: its first acknowledgement is no trip's
        try:
            yield trip
        finally:
            kthread.kthread_stop(k)


def trips(warm_up: int, n: int) -> list[int]:
    """Nanoseconds of each of n round trips, after some that do not count.  A task on CPU 0."""
    with parking() as trip:
        return [trip().whole for _ in range(warm_up + n)][warm_up:]
