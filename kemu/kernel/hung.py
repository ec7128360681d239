"""Who waits for whom: a cycle is found when it forms.

Linux: kernel/hung_task.c finds hung tasks by time; kernel/locking/lockdep.c finds
orders that may hang.  This finds the hang itself, at the moment it is complete.

    task.waits_for  <- slot + 1 of the task it waits for: by itself, before it sleeps

Each waiter stores its edge, then walks on from there (full barrier in between), so
of two tasks that close a cycle together at least one sees it.

Locks: none.  Callers: mutex, percpu_rwsem, cpu (hotplug), wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kemu.kernel.panic import Kind, panic
from kemu.kernel.sched.runqueue import machine
from kemu.memory.views import Task
from kemu.native import current


@contextmanager
def waiting_for(whom: Task | None, what: str) -> Iterator[None]:
    """In this block the current task waits for another.  Any context that may sleep.

    A cycle stops the machine with a report that names it.
    """
    me = current()
    if whom is None:
        yield
        return
    me.waits_for.xchg(whom.slot + 1)
    cycle = _cycle_from(me)
    if cycle:
        names = " waits for ".join(task.comm for task in [*cycle, me])
        panic(Kind.HANG, f"INFO: a cycle of waits, closed by {me.comm} ({what}):\n{names}")
    yield
    me.waits_for.store(0)


def _cycle_from(me: Task) -> list[Task]:
    """The tasks on the way from me back to me; empty if the way ends elsewhere."""
    way = [me]
    while len(way) <= machine.tasks.nr:
        following = way[-1].waits_for.load()
        if not following:
            return []
        task = machine.tasks.at(following - 1)
        if task.slot == me.slot:
            return way
        if task in way:
            return []       # a cycle, but not ours: who closed it has reported it
        way.append(task)
    return []
