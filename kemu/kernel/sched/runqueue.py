"""The scheduling classes and their queues: stop, then fifo, then fair, then idle.

Linux: kernel/sched/{stop_task,rt,fair,idle_task}.c.  Not modelled: virtual
run time (fair is a round of one-tick turns), groups, bandwidth, balancing.

A queued task is linked in its class's queue of its runqueue, also while it runs
and while it is preempted.  The stop class has no queue: rq.stop is its only
task, and enqueue and dequeue merely count.  That is why a task must be off every
runqueue when it is given that class (exhibit stop-class-while-queued).

The links, the counts, the bitmap of priorities and who goes first are
runqueue.c's, which schedule() and try_to_wake_up() use too; what must hold of
a queued task is said here.

Locks: rq.lock in every function here.  Callers: core functions of sched.
"""

from __future__ import annotations

from typing import NoReturn

from kemu import native
from kemu.kernel.panic import BUG
from kemu.kernel.sched.cpus import machine, resched_curr
from kemu.memory.views import Cpu, Task

IDLE, FAIR = native.CLASS_IDLE, native.CLASS_FAIR
RT, STOP = native.CLASS_RT, native.CLASS_STOP
CLASS_NAMES = ("idle", "fair", "fifo", "stop")

MAX_RT_PRIO = native.MAX_RT_PRIO
DEFAULT_PRIO = 120


def broken(why: int, rq: Cpu, p: Task) -> NoReturn:
    """The hardware found an invariant broken while it queued, unqueued, picked or woke p: say which."""
    match why:
        case native.BUG_CPU:
            text = f"S2: {p} queued on cpu{rq.cpu}, holds cpu{p.cpu.load()}"
        case native.BUG_DEAD_CPU:
            text = f"S8: {p} queued on dead cpu{rq.cpu}"
        case native.BUG_CLASS:
            text = "S11: an idle task is never queued"
        case native.BUG_QUEUE:
            text = _not_queued(rq, p)
        case native.BUG_COUNT:
            text = f"S3: cpu{rq.cpu} counts fifo tasks and has none queued"
        case native.BUG_SLEEPS:
            text = f"S6: cpu{rq.cpu} picked {machine.tasks.at(rq.queue.first())}, which sleeps"
        case native.BUG_GONE:
            text = "use after free: a wake-up of a task that is gone"
        case native.BUG_NOWHERE:
            text = f"no CPU at all for {p}"
        case native.BUG_ITSELF:
            text = (f"{p} wakes itself on cpu{rq.cpu} while it is off its runqueue: the wake-up "
                    "would wait, with interrupts off, until its own task leaves the CPU")
        case _:
            text = f"{p} on cpu{rq.cpu}: {why}"
    BUG(text, depth=2)


def _not_queued(rq: Cpu, p: Task) -> str:
    sched_class = p.sched_class.load()
    if sched_class == IDLE:
        return "bad: scheduling from the idle thread!"
    if sched_class == STOP:
        return (f"S4: the stop class dequeues {p} on cpu{rq.cpu}, which stays linked "
                "in the queue of another class: it was given the class while it was queued")
    return f"S4: {p} is of class {CLASS_NAMES[sched_class]} but in no queue of it"


def enqueue_task(rq: Cpu, p: Task) -> None:
    """Link p into its class's queue of rq, behind its equals."""
    if not rq.queue.enqueue(p.slot):
        broken(native.BUG_CLASS, rq, p)


def dequeue_task(rq: Cpu, p: Task) -> None:
    """Unlink p from its class's queue of rq."""
    if not rq.queue.dequeue(p.slot):
        broken(native.BUG_QUEUE, rq, p)


def activate_task(rq: Cpu, p: Task) -> None:
    """Queue p and say so.  Caller has set its CPU."""
    why = rq.queue.activate(p.slot)
    if why:
        broken(why, rq, p)


def deactivate_task(rq: Cpu, p: Task) -> None:
    """Unqueue p and say so."""
    why = rq.queue.deactivate(p.slot)
    if why:
        broken(why, rq, p)


def pick_next_task(rq: Cpu) -> Task:
    """The best queued task; the idle task if there is none."""
    slot = rq.queue.pick_next()
    if slot < 0:
        broken(slot, rq, machine.tasks.at(rq.curr.load()))
    return machine.tasks.at(slot)


def check_preempt_curr(rq: Cpu, p: Task) -> None:
    """p was just queued: make rq's CPU look whether it should run instead."""
    rq.queue.check_preempt(p.slot)


def put_behind(rq: Cpu, p: Task) -> None:
    """Move a queued fair or fifo task behind its equals (Linux: requeue_task)."""
    if p.sched_class.load() in (FAIR, RT) and p.on_rq.load():
        dequeue_task(rq, p)
        enqueue_task(rq, p)


def task_tick(rq: Cpu, curr: Task) -> None:
    """A fair task has had its turn if another waits."""
    if curr.sched_class.load() == FAIR and rq.fair_nr.load() > 1:
        put_behind(rq, curr)
        resched_curr(rq)
