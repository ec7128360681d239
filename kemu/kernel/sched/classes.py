"""The scheduling classes and their queues: stop, then fifo, then fair, then idle.

Linux: kernel/sched/{stop_task,rt,fair,idle_task}.c.  Not modelled: virtual
run time (fair is a round of one-tick turns), groups, bandwidth, balancing.

A queued task is linked in its class's queue of its runqueue, also while it runs
and while it is preempted.  The stop class has no queue: rq.stop is its only
task, and enqueue and dequeue merely count.  That is why a task must be off every
runqueue when it is given that class (exhibit stop-class-while-queued).

The links, the counts and the bitmap of priorities are native/runqueue.c's; which
class goes first, and what must hold of a queued task, is here.

Locks: rq.lock in every function here.  Callers: core functions of sched.
"""

from __future__ import annotations

from kemu import native
from kemu.kernel.panic import BUG
from kemu.kernel.sched.runqueue import idle_tasks, machine, resched_curr
from kemu.memory.views import Cpu, Task

IDLE, FAIR = native.CLASS_IDLE, native.CLASS_FAIR
RT, STOP = native.CLASS_RT, native.CLASS_STOP
CLASS_NAMES = ("idle", "fair", "fifo", "stop")

MAX_RT_PRIO = native.MAX_RT_PRIO
DEFAULT_PRIO = 120


def enqueue_task(rq: Cpu, p: Task) -> None:
    """Link p into its class's queue of rq, behind its equals."""
    if not rq.queue.enqueue(p.slot):
        BUG("S11: an idle task is never queued")


def dequeue_task(rq: Cpu, p: Task) -> None:
    """Unlink p from its class's queue of rq."""
    if not rq.queue.dequeue(p.slot):
        BUG(_not_queued(rq, p))


def _not_queued(rq: Cpu, p: Task) -> str:
    sched_class = p.sched_class.load()
    if sched_class == IDLE:
        return "bad: scheduling from the idle thread!"
    if sched_class == STOP:
        return (f"S4: the stop class dequeues {p} on cpu{rq.cpu}, which stays linked "
                "in the queue of another class: it was given the class while it was queued")
    return f"S4: {p} is of class {CLASS_NAMES[sched_class]} but in no queue of it"


def activate_task(rq: Cpu, p: Task) -> None:
    """Queue p and say so.  Caller has set its CPU."""
    if p.cpu.load() != rq.cpu:
        BUG(f"S2: {p} queued on cpu{rq.cpu}, holds cpu{p.cpu.load()}")
    if not machine.header.online_mask.test_bit(rq.cpu):
        BUG(f"S8: {p} queued on dead cpu{rq.cpu}")
    enqueue_task(rq, p)
    p.on_rq.store(1)


def deactivate_task(rq: Cpu, p: Task) -> None:
    """Unqueue p and say so."""
    dequeue_task(rq, p)
    p.on_rq.store(0)


def pick_next_task(rq: Cpu) -> Task:
    """The best queued task; the idle task if there is none."""
    stop = rq.stop.load()
    if stop:
        p = machine.tasks.at(stop - 1)
        if p.on_rq.load() and p.cpu.load() == rq.cpu:
            return p
    slot = rq.queue.first()
    if slot < 0:
        if rq.rt_nr.load():
            BUG(f"S3: cpu{rq.cpu} counts fifo tasks and has none queued")
        return idle_tasks[rq.cpu]
    p = machine.tasks.at(slot)
    if not p.on_rq.load():
        BUG(f"S6: cpu{rq.cpu} picked {p}, which sleeps")
    return p


def check_preempt_curr(rq: Cpu, p: Task) -> None:
    """p was just queued: make rq's CPU look whether it should run instead."""
    curr = machine.tasks.at(rq.curr.load())
    mine, its = p.sched_class.load(), curr.sched_class.load()
    if mine > its or (mine == its == RT and p.prio.load() < curr.prio.load()):
        resched_curr(rq)
    elif mine == its == FAIR and rq.fair_nr.load() == 2:
        resched_curr(rq)        # two share the CPU now: it must start its tick


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
