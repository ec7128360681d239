"""Every measure: what the caller on CPU 0 does, and what runs on CPU 1.

    roundtrip   unpark, run, acknowledge, park: four hand-overs
    unpark      from the call of kthread_unpark() until the thread runs
    park        the call of kthread_park(), until the thread has said that it is parked
    wakeup      from the call of wake_up_process() until the woken task runs
    completion  from the call of complete() until the waiter runs
    stop        the call of stop_one_cpu() with a function that does nothing
    ipi         from the call of smp_call_function_single() until its function runs

A sample is the difference of two readings of CLOCK_MONOTONIC, on which all host cores
agree.  The cost of one reading is in every sample; overhead() measures it, and the sampler takes
it out.

kemu's own; the idea is that of cyclictest (rt-tests).  Locks: none.  Callers: sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from kemu import native
from kemu.kernel import kthread, sched
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.latency.parking import OTHER, Ran, parking
from kemu.memory.struct import Embedded, Struct, Word
from kemu.memory.views import Task

Once = Callable[[], int]            # takes one sample, in nanoseconds
SLEEP_NS = 2_000_000                # a longer pause is slept, in jiffies of 1 ms; the rest is polled
JIFFY_NS = 1_000_000
OVERHEAD_READINGS = 1000


@dataclass(frozen=True)
class Measure:
    """One measure."""

    name: str
    what: str
    handovers: int                  # between the two cores, within one sample
    begin: Callable[[], AbstractContextManager[Once]]


@contextmanager
def _roundtrip() -> Iterator[Once]:
    with parking() as trip:
        yield lambda: trip().whole


@contextmanager
def _unpark() -> Iterator[Once]:
    with parking() as trip:
        yield lambda: trip().unpark


@contextmanager
def _park() -> Iterator[Once]:
    with parking() as trip:
        yield lambda: trip().park


class Bed(Struct):
    """What a sleeper and its caller share."""

    woken: Final = Word()   # 1: the sleeper is to get up
    over: Final = Word()    # 1: the waiter is to end
    asked: Final = Embedded(Completion)
    slept: Final = Embedded(Completion)


def sleeper(bed: Bed) -> None:
    """Sleep until woken, note the time, answer.  Runs as a kthread."""
    ran = Ran.on(OTHER).ns
    while not kthread.kthread_should_stop():
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not bed.woken.load() and not kthread.kthread_should_stop():
            sched.schedule()
            continue
        sched.set_current_state(sched.TASK_RUNNING)
        if bed.woken.xchg(0):
            ran.store(native.now_ns())
            complete(bed.slept)


def waiter(bed: Bed) -> None:
    """Wait for an event, note the time, answer.  Runs as a kthread."""
    ran = Ran.on(OTHER).ns
    wait_for_completion(bed.asked)
    while not bed.over.load():
        ran.store(native.now_ns())
        complete(bed.slept)
        wait_for_completion(bed.asked)


@contextmanager
def _asleep(main: Callable[[Bed], None], state: int,
            wake: Callable[[Bed, Task], None]) -> Iterator[Once]:
    """A kthread that sleeps on the other CPU: a sample is from its wake-up until it runs."""
    now, ran = native.now_ns, Ran.on(OTHER).ns
    bed = Bed.alloc()
    k = kthread.kthread_create_on_cpu(main, bed, OTHER, "sleeper/%u")
    kthread.kthread_unpark(k)

    def once() -> int:
        sched.wait_task_inactive(k, state)
        began = now()
        wake(bed, k)
        wait_for_completion(bed.slept)
        took: int = ran.load() - began
        return took

    try:
        yield once
    finally:
        bed.over.store(1)       # a waiter sleeps through the wake-up of kthread_stop()
        complete(bed.asked)
        kthread.kthread_stop(k)
        bed.free()


def _wake(bed: Bed, k: Task) -> None:
    bed.woken.store(1)
    sched.wake_up_process(k)


def _complete(bed: Bed, k: Task) -> None:
    complete(bed.asked)


def _note(arg: int) -> int:
    Ran.on(OTHER).ns.store(native.now_ns())
    return 0


def _nothing(arg: int) -> int:
    return 0


@contextmanager
def _stop() -> Iterator[Once]:
    now = native.now_ns

    def once() -> int:
        began = now()
        stop_one_cpu(OTHER, _nothing)
        return now() - began
    yield once


@contextmanager
def _ipi() -> Iterator[Once]:
    now, ran = native.now_ns, Ran.on(OTHER).ns

    def once() -> int:
        began = now()
        smp_call_function_single(OTHER, _note, 0, wait=True)
        took: int = ran.load() - began
        return took
    yield once


MEASURES = {measure.name: measure for measure in (
    Measure("roundtrip", "unpark, run, acknowledge, park", 4, _roundtrip),
    Measure("unpark", "kthread_unpark() until the thread runs", 1, _unpark),
    Measure("park", "kthread_park() until the thread is parked", 2, _park),
    Measure("wakeup", "wake_up_process() until the task runs", 1,
            lambda: _asleep(sleeper, sched.TASK_INTERRUPTIBLE, _wake)),
    Measure("completion", "complete() until the waiter runs", 1,
            lambda: _asleep(waiter, sched.TASK_UNINTERRUPTIBLE, _complete)),
    Measure("stop", "stop_one_cpu(), there and back", 2, _stop),
    Measure("ipi", "smp_call_function_single() until the function runs", 1, _ipi),
)}


def overhead() -> float:
    """Nanoseconds that taking the time adds to a sample: the median of two readings in a row."""
    now = native.now_ns
    return median(-(now() - now()) for _ in range(OVERHEAD_READINGS))


def _pause_until(when: int) -> None:
    """Sleep whole jiffies, then poll.  May sleep."""
    left = when - native.now_ns()
    if left > SLEEP_NS:
        sched.schedule_timeout_uninterruptible((left - JIFFY_NS) // JIFFY_NS)
    while native.now_ns() < when:
        sched.cpu_relax()


def batch(name: str, warm_up: int, n: int, interval_ns: int, limit_ns: int) -> tuple[list[int], int]:
    """n samples of a measure, after some that do not count.  A task on CPU 0; sleeps.

    With an interval, sample i begins i intervals after the first, or as soon as the one
    before has ended.  Returns the samples in nanoseconds and how many began late.  Ends
    early, with that sample last, at the first one above limit_ns, if limit_ns is not 0.
    """
    samples: list[int] = []
    late = 0
    with MEASURES[name].begin() as once:
        for _ in range(warm_up):
            once()
        due = native.now_ns()
        for _ in range(n):
            if interval_ns:
                late += native.now_ns() > due + interval_ns
                _pause_until(due)
                due += interval_ns
            samples.append(once())
            if limit_ns and samples[-1] > limit_ns:
                break
    return samples, late
