"""The sentence for each broken invariant that a C half of the scheduler finds.

kemu's own.  The C halves return KEMU_BUG_... and leave the locks as they are; the Python
half calls broken(), which stops the machine with the invariant's name.

Locks: none.
"""

from __future__ import annotations

from typing import NoReturn

from kemu import native
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.memory.views import Cpu, Task

CLASS_NAMES = ("idle", "fair", "fifo", "stop")


def broken(why: int, rq: Cpu, p: Task) -> NoReturn:
    """Stop the machine, and say which invariant broke when a C half queued, unqueued, picked or woke p."""
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
            text = f"S6: cpu{rq.cpu} picked {system.tasks.at(rq.queue.first())}, which sleeps"
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
    if sched_class == native.CLASS_IDLE:
        return "bad: scheduling from the idle thread!"
    if sched_class == native.CLASS_STOP:
        return (f"S4: the stop class dequeues {p} on cpu{rq.cpu}, which stays linked "
                "in the queue of another class: it was given the class while it was queued")
    return f"S4: {p} is of class {CLASS_NAMES[sched_class]} but in no queue of it"
