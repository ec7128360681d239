"""Several CPUs stopped together: multi_cpu_stop(), and the functions built on it.

Linux: kernel/stop_machine.c (v4.13), its second half; the stoppers are in cpu_stop.

multi_cpu_stop() is a work on several CPUs, which go through states in step.  No CPU sleeps
in it, so if one participant is missing, the spin of all others never ends.  kemu reports that when it
happens (report_missing_participant()), and not after a time-out.

    multi.state       <- the next state: by the last of num_threads that acknowledges
    multi.thread_ack  <- how many have yet to acknowledge: by each participant
    multi.dropped     <- participants whose work was completed without having run
    multi.entered     <- participants that began

Locks: the hotplug lock (stop_machine()), stop_cpus_mutex; two stopper.locks, the lower
CPU's first.  Callers: hotplug, races, torture; users.
"""

from __future__ import annotations

from errno import EAGAIN, EDEADLK, ENOENT
from typing import Any, Final

from kemu import native
from kemu.errors import UsageError
from kemu.kernel.cpu_stop import (CpuStopper, CpuStopWork, Stop, __cpu_stop_queue_work,
                                  cpu_stop_queue_work, free_packed, pack, unpack, wake_stopper)
from kemu.kernel.cpumask import check_cpu, for_each_cpu, online_cpus
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.locking.mutex import Mutex, mutex_trylock, mutex_unlock
from kemu.kernel.own import wiring
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG, Kind, panic
from kemu.kernel.sched.completion import try_wait_for_completion
from kemu.memory import functions
from kemu.memory.struct import Embedded, PerCPU, Struct, Word
from kemu.native import (cpu_relax, local_irq_restore, local_irq_save, preempt_disable,
                         preempt_enable, smp_processor_id)


MULTI_STOP_NONE, MULTI_STOP_PREPARE, MULTI_STOP_DISABLE_IRQ, MULTI_STOP_RUN, MULTI_STOP_EXIT = range(5)


class StopCpus(PerCPU, keep=True):
    """Of CPU 0: there is one for the machine."""

    mutex: Final = Embedded(Mutex)
    in_progress: Final = Word()


class MultiStopData(Struct):
    """struct multi_stop_data."""

    fn: Final = Word()
    data: Final = Word()
    num_threads: Final = Word()
    active_cpus: Final = Word()
    state: Final = Word()
    thread_ack: Final = Word()
    dropped: Final = Word()
    entered: Final = Word()


class _multi_stop:
    """A MultiStopData for the length of a block."""

    def __init__(self, fn: Any, arg: Any, num_threads: int, active: int) -> None:
        self.msdata = MultiStopData.alloc()
        self.msdata.fn.store(functions.publish(fn))
        self.msdata.data.store(pack(arg))
        self.msdata.num_threads.store(num_threads)
        self.msdata.active_cpus.store(active)
        set_state(self.msdata, MULTI_STOP_PREPARE)

    def __enter__(self) -> MultiStopData:
        return self.msdata

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            free_packed(self.msdata.data.load())
            self.msdata.free()


def set_state(msdata: MultiStopData, newstate: int) -> None:
    """All participants have acknowledged the last state: set the counter, then the state (release)."""
    msdata.thread_ack.store(msdata.num_threads.load())
    msdata.state.store_release(newstate)


def ack_state(msdata: MultiStopData) -> None:
    """Acknowledge the state.  The last participant to acknowledge sets the next state."""
    if not msdata.thread_ack.add(-1):
        set_state(msdata, msdata.state.load() + 1)


def multi_cpu_stop(base: int) -> int:
    """Go through the states in step with the other participants.  Runs on a stopper.

    Polls for the next state; sleeps instead if CPUs share a host core (native/hardware/watch.c).
    """
    msdata = MultiStopData.at(system.memory, base)
    fn, data = functions.load(msdata.fn.load()), unpack(msdata.data.load())
    active = msdata.active_cpus.load() >> smp_processor_id() & 1
    msdata.entered.add(1)
    report_missing_participant(msdata)
    point("multi:entered")
    flags = native.irqs_disabled()
    curstate, err = MULTI_STOP_NONE, 0
    while curstate != MULTI_STOP_EXIT:
        curstate = msdata.state.wait_while(curstate)
        if curstate == MULTI_STOP_DISABLE_IRQ:
            local_irq_save()
        elif curstate == MULTI_STOP_RUN and active:
            err = fn(data) or 0
        ack_state(msdata)
        point("multi:acked")
    local_irq_restore(int(flags))
    return err


@wiring.dropped_work.bind
def count_dropped(work: CpuStopWork) -> None:
    """A participant of multi_cpu_stop was dropped, so the wait of the others will never end.

    The task that finds this second reports it: the task that dropped the work, or a participant.
    """
    if functions.load(work.fn.load()) is multi_cpu_stop:
        msdata = MultiStopData.at(system.memory, unpack(work.arg.load()))
        msdata.dropped.add(1)
        report_missing_participant(msdata)


def report_missing_participant(msdata: MultiStopData) -> None:
    """Stop the machine if participants wait in multi_cpu_stop for a participant that will not come."""
    if msdata.dropped.load() and msdata.entered.load():
        panic(Kind.HANG, f"INFO: multi_cpu_stop waits for {msdata.num_threads.load()} CPUs, and the "
              f"work of {msdata.dropped.load()} was completed without having run: "
              f"{msdata.entered.load()} spin for ever, and so does their initiator wait")


def cpu_stop_queue_two_works(cpu1: int, work1: CpuStopWork, cpu2: int, work2: CpuStopWork) -> int:
    """Queue both works or neither.  cpu1 < cpu2.  Returns 0 or -ENOENT.  May spin.

    A stop_cpus() that queues works at the same time could queue them in another order, so this
    waits until it has finished.
    """
    stopper1, stopper2 = CpuStopper.on(cpu1), CpuStopper.on(cpu2)
    in_progress = StopCpus.on(0).in_progress
    while True:
        preempt_disable()
        flags = stopper1.lock.lock_irqsave()
        stopper2.lock.lock()
        err = -ENOENT
        if stopper1.enabled.load() and stopper2.enabled.load():
            err = -EDEADLK if in_progress.load() else 0
        if not err:
            __cpu_stop_queue_work(stopper1, work1)
            __cpu_stop_queue_work(stopper2, work2)
        stopper2.lock.unlock()
        stopper1.lock.unlock_irqrestore(flags)
        if not err:
            # Preemption is still off: a stopper may preempt this task only when both are woken.
            wake_stopper(stopper1)
            point("two:woke-one")
            wake_stopper(stopper2)
        point("two:queued")
        preempt_enable()
        if err != -EDEADLK:
            return err
        in_progress.wait_while(1)


def stop_two_cpus(cpu1: int, cpu2: int, fn: Any, arg: Any = 0) -> int:
    """Run fn(arg) on cpu1 while cpu2 is stopped too.  May sleep.

    Returns what fn returned; -ENOENT if either is not enabled.  Needs no hotplug lock.
    """
    check_cpu(cpu1)
    check_cpu(cpu2)
    if cpu1 == cpu2:
        raise UsageError(f"stop_two_cpus was given CPU {cpu1} twice: give two different CPUs")
    with _multi_stop(fn, arg, 2, 1 << cpu1) as msdata, \
            Stop(multi_cpu_stop, msdata.base, 2, nr_works=2) as stop:
        low, high = min(cpu1, cpu2), max(cpu1, cpu2)
        if cpu_stop_queue_two_works(low, stop.works[0], high, stop.works[1]):
            return -ENOENT
        return stop.wait()


def queue_stop_cpus_work(mask: int, stop: Stop) -> bool:
    """Queue a work on every CPU of the mask.  Returns whether any work will run.

    Caller holds stop_cpus_mutex.  Preemption is off.  Otherwise a stopper that is already awake
    could preempt the caller here, and wait for a stopper that has no work yet.
    """
    shared = StopCpus.on(0)
    queued = False
    preempt_disable()
    shared.in_progress.store(1)
    for cpu in for_each_cpu(mask):
        work = CpuStopper.on(cpu).stop_work
        stop.fill(work)
        queued |= cpu_stop_queue_work(cpu, work)
        point("stop-cpus:queued-one")
    shared.in_progress.store_release(0)
    preempt_enable()
    return queued


def __stop_cpus(mask: int, fn: Any, arg: Any) -> int:
    cpus = for_each_cpu(mask)
    if not cpus:
        return -ENOENT
    with Stop(fn, arg, len(cpus), nr_works=0) as stop:
        queue_stop_cpus_work(mask, stop)
        return stop.wait()


def stop_cpus(mask: int, fn: Any, arg: Any = 0) -> int:
    """Run fn(arg) on each CPU of the mask, together, and wait.  May sleep.

    Returns the last error, or 0; -ENOENT if no CPU ran it.
    """
    with StopCpus.on(0).mutex:
        return __stop_cpus(mask, fn, arg)


def try_stop_cpus(mask: int, fn: Any, arg: Any = 0) -> int:
    """As stop_cpus(), but returns -EAGAIN if another stop_cpus() is under way."""
    mutex = StopCpus.on(0).mutex
    if not mutex_trylock(mutex):
        return -EAGAIN
    try:
        return __stop_cpus(mask, fn, arg)
    finally:
        mutex_unlock(mutex)


def stop_machine_cpuslocked(fn: Any, data: Any, cpus: int | None) -> int:
    """Run fn(data) on some CPUs while all other online CPUs stand still.  May sleep.

    Caller holds the hotplug lock.  cpus: a mask; by default the first online CPU.  Returns what
    fn returned.
    """
    online = online_cpus()
    active = cpus if cpus is not None else 1 << online[0]
    with _multi_stop(fn, data, len(online), active) as msdata:
        return stop_cpus(sum(1 << cpu for cpu in online), multi_cpu_stop, msdata.base)


def stop_machine(fn: Any, data: Any = 0, cpus: int | None = None) -> int:
    """Run fn(data) on some CPUs while all other online CPUs stand still.  May sleep.

    cpus: a mask; by default the first online CPU.  Returns what fn returned.
    """
    with cpus_read():
        return stop_machine_cpuslocked(fn, data, cpus)


def stop_machine_from_inactive_cpu(fn: Any, data: Any = 0, cpus: int | None = None) -> int:
    """stop_machine() for a CPU that is online and not active yet.  Polls; does not sleep.

    The control task holds the hotplug lock.  The caller takes part for its CPU, in place of the
    CPU's stopper.  cpus: a mask; by default the first active CPU.
    """
    here, mask = smp_processor_id(), system.header.active_mask.load()
    if mask >> here & 1:
        BUG(f"stop_machine_from_inactive_cpu() on cpu{here}, which is active")
    active = for_each_cpu(mask)
    mutex = StopCpus.on(0).mutex
    while not mutex_trylock(mutex):
        cpu_relax()
    with _multi_stop(fn, data, len(active) + 1, 1 << active[0] if cpus is None else cpus) as msdata, \
            Stop(multi_cpu_stop, msdata.base, len(active), nr_works=0) as stop:
        queue_stop_cpus_work(mask, stop)
        ret = multi_cpu_stop(msdata.base)
        while not try_wait_for_completion(stop.done.completion):
            cpu_relax()
        ret = ret or stop.done.ret.load()
    mutex_unlock(mutex)
    return ret
