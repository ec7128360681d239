"""Work queues: a thread calls the functions that other tasks have queued, one after another.

Linux: kernel/workqueue.c (2.6.6).  Not modelled: a thread for each CPU (a queue here has one
thread, as create_singlethread_workqueue makes it), delayed works.

keventd is the thread of the queue that all subsystems share.  kthread_create() uses it: while a
work does not end, keventd creates no kernel thread.

    worklist          <- works, the oldest first: under wq.lock
    insert_sequence   += 1 by the task that queues a work, under wq.lock
    remove_sequence   += 1 by the thread after a work's function has returned, under wq.lock
    work.pending      <- 1 by the task that queues it; 0 by the thread, before it calls the function

Locks: the hotplug lock (flush_workqueue); wq.lock; inside it the wait queues' locks.
Callers: kthread, init; users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kemu.kernel.kthread import kthread_create_on_node, kthread_should_stop
from kemu.kernel.own.hung import waiting_for
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.sched.state import TASK_INTERRUPTIBLE
from kemu.kernel.sched.wait import WaitQueue, wait_event, wake_up
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.v2_6.cpucontrol import lock_cpu_hotplug, unlock_cpu_hotplug
from kemu.memory import functions
from kemu.memory.struct import Embedded, ListHead, Lock, PerCPU, Struct, TaskRef, Word
from kemu.native import current

WorkFn = Callable[[int], Any]


class WorkStruct(Struct):
    """struct work_struct.  It belongs to its owner, except while it is pending."""

    next: Final = Word()
    prev: Final = Word()
    pending: Final = Word()
    func: Final = Word()
    data: Final = Word()


class Workqueue(Struct):
    """struct cpu_workqueue_struct."""

    lock: Final = Lock()
    insert_sequence: Final = Word()
    remove_sequence: Final = Word()
    worklist: Final = ListHead()
    more_work: Final = Embedded(WaitQueue)
    work_done: Final = Embedded(WaitQueue)
    thread: Final = TaskRef()


class Keventd(PerCPU, keep=True):
    """The queue of keventd.  Only CPU 0's copy is used."""

    wq: Final = Embedded(Workqueue)


def init_work(work: WorkStruct, func: WorkFn, data: int) -> None:
    """Have the work call func(data), each time that it is queued (Linux: INIT_WORK)."""
    work.func.store(functions.publish(func))
    work.data.store(data)
    work.pending.store(0)


def queue_work(wq: Workqueue, work: WorkStruct) -> bool:
    """Queue a work.  Returns False if it was pending already.  Any context."""
    if work.pending.xchg(1):
        return False
    flags = wq.lock.lock_irqsave()
    wq.worklist.add_tail(work.base)
    wq.insert_sequence.add(1)
    wake_up(wq.more_work)
    wq.lock.unlock_irqrestore(flags)
    return True


def _take_first(wq: Workqueue) -> WorkStruct | None:
    flags = wq.lock.lock_irqsave()
    node = wq.worklist.first()
    if node:
        system.memory.list_del(node)
    wq.lock.unlock_irqrestore(flags)
    return WorkStruct.at(system.memory, node) if node else None


def run_workqueue(wq: Workqueue) -> None:
    """Call the functions of all works in the list.  Runs on the queue's thread.  May sleep."""
    while work := _take_first(wq):
        func, data = functions.load(work.func.load()), work.data.load()
        work.pending.store(0)       # from here on the function may free or queue the work
        func(data)
        flags = wq.lock.lock_irqsave()
        wq.remove_sequence.add(1)
        wake_up(wq.work_done, 0)
        wq.lock.unlock_irqrestore(flags)


def worker_thread(wq: Workqueue) -> int:
    """Run the queue's works until kthread_stop().  A thread's function."""
    while not kthread_should_stop():
        wait_event(wq.more_work, lambda: not wq.worklist.empty() or kthread_should_stop(),
                   TASK_INTERRUPTIBLE)
        run_workqueue(wq)
    return 0


def flush_cpu_workqueue(wq: Workqueue) -> None:
    """Wait until every work that is queued by now has run.  May sleep.

    The queue's own thread runs them itself.
    """
    thread = wq.thread.get()
    if thread is not None and thread.slot == current().slot:
        run_workqueue(wq)
        return
    sequence_needed = wq.insert_sequence.load()
    point("flush:waiting")
    with waiting_for(thread, "flush_workqueue"):
        wait_event(wq.work_done, lambda: wq.remove_sequence.load() >= sequence_needed)


def flush_workqueue(wq: Workqueue) -> None:
    """flush_cpu_workqueue(), with the hotplug lock held.  May sleep.

    Linux holds it because it walks the threads of all CPUs.
    """
    lock_cpu_hotplug()
    flush_cpu_workqueue(wq)
    unlock_cpu_hotplug()


def start_workqueue(wq: Workqueue, name: str) -> None:
    """Give the queue its thread.  May sleep.  Linux: create_workqueue_thread."""
    thread = kthread_create_on_node(worker_thread, wq, -1, name)
    wq.thread.set(thread)
    wake_up_process(thread)


def keventd_up() -> bool:
    """Whether keventd exists."""
    return Keventd.on(0).wq.thread.get() is not None


def schedule_work(work: WorkStruct) -> bool:
    """queue_work() on keventd's queue."""
    return queue_work(Keventd.on(0).wq, work)


def flush_scheduled_work() -> None:
    """flush_workqueue() of keventd's queue.  May sleep."""
    flush_workqueue(Keventd.on(0).wq)


def init_workqueues() -> None:
    """Start keventd.  Once, when all CPUs are up.  May sleep."""
    start_workqueue(Keventd.on(0).wq, "keventd")
