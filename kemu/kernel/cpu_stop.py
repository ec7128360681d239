"""Stoppers: on each CPU a thread that preempts every other, and runs the works queued for it.

Linux: kernel/stop_machine.c (v4.13), its first half.  A later fix in it: a task wakes a
stopper after it has dropped the stopper's lock, with preemption off (0b26351b910f and
9fb8d5dc4b64, 2018).

A work runs on its CPU with preemption off.  A work that is queued will run ("stop_machine:
Ensure that a queued callback will be called before cpu_stop_park()", 4.4): the stopper
itself clears enabled, inside its last work, and then runs what is left on its list.

    stopper.works     <- under stopper.lock
    stopper.enabled   <- 1 by stop_machine_unpark, while the thread is parked; 0 by
                         stop_machine_park, on the stopper, without the lock

Locks: stopper.lock.  Callers: stop_machine, hotplug, init, latency, races, torture; users.
"""

from __future__ import annotations

from errno import ENOENT
from typing import Any, Final, cast

from kemu import native
from kemu.kernel.cpumask import check_cpu
from kemu.kernel.kthread import kthread_park, kthread_unpark
from kemu.kernel.own import wiring
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import WARN
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.policy import sched_set_stop_task
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.smpboot import SmpHotplugThread, smpboot_register_percpu_thread
from kemu.memory import functions
from kemu.memory.struct import Embedded, ListHead, Lock, PerCPU, Struct, TaskRef, Word
from kemu.memory.views import Task
from kemu.native import (preempt_count, preempt_disable, preempt_enable, preempt_enable_no_resched,
                         smp_processor_id)
from kemu.trace import events



class CpuStopDone(Struct):
    """What an initiator waits for.  The initiator frees it."""

    nr_todo: Final = Word()
    ret: Final = Word()
    executed: Final = Word()
    completion: Final = Embedded(Completion)


class CpuStopWork(Struct):
    """A work on a stopper's list."""

    next: Final = Word()
    prev: Final = Word()
    fn: Final = Word()
    arg: Final = Word()
    done: Final = Word()


class CpuStopper(PerCPU, keep=True):
    """A CPU's stopper."""

    thread: Final = TaskRef()
    lock: Final = Lock()
    enabled: Final = Word()
    works: Final = ListHead()
    stop_work: Final = Embedded(CpuStopWork)    # for stop_cpus


def pack(arg: Any) -> int:
    """An argument as one word: a small int as itself, anything else in a block of the heap."""
    if isinstance(arg, int) and not isinstance(arg, bool) and -1 << 61 <= arg < 1 << 61:
        return arg << 1 | 1
    return functions.post(arg)


def unpack(word: int) -> Any:
    return word >> 1 if word & 1 else functions.peek(word)


def free_packed(word: int) -> None:
    if not word & 1:
        system.memory.heap_free(word)


KEPT_BLOCKS = 2         # the blocks of the heap that a process keeps from its first stop on
_spare: list[tuple[CpuStopDone, CpuStopWork]] = []


def _frame() -> tuple[CpuStopDone, CpuStopWork]:
    """A done and a work, both zero.

    Linux has them on the initiator's stack.  Here a process keeps them for its next stop, because
    to allocate blocks of the heap and make views of them would cost more than the stop.  A
    controlled trial does without: otherwise it would find other blocks than the first trial.
    """
    if native.is_controlled():
        return CpuStopDone.alloc(), CpuStopWork.alloc()
    try:
        return _spare.pop()
    except IndexError:
        return CpuStopDone.alloc(), CpuStopWork.alloc()


def _give_back(frame: tuple[CpuStopDone, CpuStopWork]) -> None:
    """Keep the frame for the next stop, or free it if this process keeps a frame already."""
    if _spare or native.is_controlled():
        for block in frame:
            block.free()
    else:
        _spare.append(frame)


class Stop:
    """What an initiator needs during a stop: the done, the works, the argument."""

    def __init__(self, fn: Any, arg: Any, nr_todo: int, nr_works: int = 1,
                 completer: int = 0) -> None:
        self.fn: int = functions.publish(fn)
        self.arg: int = pack(arg)
        self.frame: tuple[CpuStopDone, CpuStopWork] = _frame()
        self.done: CpuStopDone
        self.done, first = self.frame
        self.done.nr_todo.store(nr_todo)
        self.done.completion.completer.store(completer)
        self.works: list[CpuStopWork] = [first, *(CpuStopWork.alloc() for _ in range(nr_works - 1))]
        for work in self.works:
            self.fill(work)

    def fill(self, work: CpuStopWork) -> None:
        work.fn.store(self.fn)
        work.arg.store(self.arg)
        work.done.store(self.done.base)

    def __enter__(self) -> Stop:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:        # otherwise works may still be queued somewhere
            free_packed(self.arg)
            for work in self.works[1:]:
                work.free()
            self.done.executed.store(0)
            self.done.ret.store(0)
            _give_back(self.frame)

    def wait(self) -> int:
        """What the function returned; -ENOENT if no CPU ran it.  May sleep."""
        wait_for_completion(self.done.completion)
        ret: int = self.done.ret.load()
        return ret if self.done.executed.load() else -ENOENT


def cpu_stop_signal_done(done: CpuStopDone, executed: bool) -> None:
    """Count one work as done; the last work completes the initiator's wait.  Any context."""
    if executed:
        done.executed.store(1)
    native.trace(events.STOP_DONE, -1, int(executed), 0, 0)
    if not done.nr_todo.add(-1):
        complete(done.completion)


def cpu_stop_drop(work: CpuStopWork) -> None:
    """Complete a work that will not run.  Caller holds stopper.lock."""
    wiring.dropped_work(work)
    done = work.done.load()
    if done:
        cpu_stop_signal_done(CpuStopDone.at(system.memory, done), False)


def __cpu_stop_queue_work(stopper: CpuStopper, work: CpuStopWork) -> None:
    """Append the work.  Caller holds stopper.lock, and wakes the stopper after it drops the lock."""
    stopper.works.add_tail(work.base)


def wake_stopper(stopper: CpuStopper) -> None:
    wake_up_process(cast(Task, stopper.thread.get()))


def cpu_stop_queue_work(cpu: int, work: CpuStopWork) -> bool:
    """Queue a work.  Returns whether it will run; if not, completes it.  Any context."""
    stopper = CpuStopper.on(cpu)
    preempt_disable()       # no other task may run here between the queueing and the wake-up
    flags = stopper.lock.lock_irqsave()
    enabled = bool(stopper.enabled.load())
    if enabled:
        __cpu_stop_queue_work(stopper, work)
    else:
        cpu_stop_drop(work)
    stopper.lock.unlock_irqrestore(flags)
    native.trace(events.STOP_QUEUE, -1, cpu, int(enabled), 0)
    if enabled:
        point("stopper:queued")
        wake_stopper(stopper)
    else:
        point("stopper:refused")
    preempt_enable()
    return enabled


def stop_one_cpu(cpu: int, fn: Any, arg: Any = 0) -> int:
    """Run fn(arg) on a CPU, preempting what runs there, and wait.  May sleep.

    Returns what fn returned (an int); -ENOENT if the CPU's stopper is not enabled.
    fn must not sleep.
    """
    check_cpu(cpu)
    with Stop(fn, arg, 1, completer=CpuStopper.on(cpu).thread.slot.load()) as stop:
        cpu_stop_queue_work(cpu, stop.works[0])
        return stop.wait()


def stop_one_cpu_nowait(cpu: int, fn: Any, arg: int, work_buf: CpuStopWork) -> bool:
    """Have a CPU run fn(arg), preempting what runs there, and do not wait.  Does not sleep.

    Returns whether the work was queued; False if the CPU's stopper is not enabled.  work_buf
    belongs to the caller and must not be queued already.  The caller may use it again when fn
    begins.
    """
    check_cpu(cpu)
    work_buf.fn.store(functions.publish(fn))
    work_buf.arg.store(pack(arg))
    work_buf.done.store(0)
    return cpu_stop_queue_work(cpu, work_buf)


def cpu_stop_should_run(cpu: int) -> bool:
    """Whether there is work.  Preemption is off."""
    stopper = CpuStopper.on(cpu)
    flags = stopper.lock.lock_irqsave()
    run = not stopper.works.empty()
    stopper.lock.unlock_irqrestore(flags)
    return run


def cpu_stopper_thread(cpu: int) -> None:
    """Run works until the list is empty.  Runs on the stopper."""
    stopper = CpuStopper.on(cpu)
    while True:
        flags = stopper.lock.lock_irqsave()
        node = stopper.works.first()
        if node:
            system.memory.list_del(node)
        stopper.lock.unlock_irqrestore(flags)
        if not node:
            point("stopper:empty")
            return
        point("stopper:took")
        _run_work(CpuStopWork.at(system.memory, node))


def _run_work(work: CpuStopWork) -> None:
    """Run one work.  Its function may not sleep.  Once done is signalled, the owner may reuse the work."""
    fn, arg = functions.load(work.fn.load()), unpack(work.arg.load())
    done = work.done.load()
    preempt_disable()
    ret = fn(arg) or 0
    point("stopper:ran")
    if done:
        stop_done = CpuStopDone.at(system.memory, done)
        if ret:
            stop_done.ret.store(ret)
        cpu_stop_signal_done(stop_done, True)
    preempt_enable_no_resched()
    if preempt_count():
        WARN(f"cpu_stop: {fn.__name__}({arg!r:.40}) leaked preempt count")


def stop_machine_park(cpu: int) -> None:
    """Take no more works, and park when those queued have run.  Runs on the stopper, in a work.

    Needs no lock.  A work that was queued before is in the list, which the stopper empties
    under the lock before it parks.  A task that comes later sees that enabled is clear.
    """
    stopper = CpuStopper.on(cpu)
    stopper.enabled.store(0)
    point("stopper:disabled")
    kthread_park(cast(Task, stopper.thread.get()))


def cpu_stop_create(cpu: int) -> None:
    """Make the new thread the stop task.  It is parked and off its runqueue."""
    sched_set_stop_task(cpu, CpuStopper.on(cpu).thread.get())


def cpu_stop_park(cpu: int) -> None:
    """S51: a stopper's list is empty when the stopper parks."""
    if not CpuStopper.on(cpu).works.empty():
        WARN(f"cpu_stop_park: cpu{cpu}'s stopper parks with works on its list")


def stop_machine_unpark(cpu: int) -> None:
    """Take works again.  Never waits, because the stopper was the last thread to run on the CPU."""
    stopper = CpuStopper.on(cpu)
    stopper.enabled.store(1)
    point("stopper:enabled")
    kthread_unpark(cast(Task, stopper.thread.get()))


cpu_stop_threads: Final = SmpHotplugThread("migration/%u", cpu_stop_should_run, cpu_stopper_thread,
                                    create=cpu_stop_create, park=cpu_stop_park,
                                    selfparking=True, store=CpuStopper)


def cpu_stop_init() -> None:
    """Start the stoppers.  Runs on the boot CPU, before any other CPU is up.  May sleep."""
    smpboot_register_percpu_thread(cpu_stop_threads)
    stop_machine_unpark(smp_processor_id())

