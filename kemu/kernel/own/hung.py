"""Who waits for whom: a cycle is found when it forms.

Linux: kernel/hung_task.c finds hung tasks by time; kernel/locking/lockdep.c finds
orders that may hang.  This finds the hang itself, at the moment it is complete.

    task.waits_on   <- the offset of the word that names the owner of what it waits for
                       (Task.ref): by itself, before it sleeps
    task.waits_for  <- that task (Task.ref), where it waits for a task and no lock

The owner is read when the edge is walked, so an edge is never out of date.  Each
waiter stores its edge, then walks on from there (full barrier in between), so of two
tasks that close a cycle together at least one sees it.  A cycle is walked twice: if no
task on it has been switched in between, its edges held all at once.

Locks: none.  Callers: mutex, percpu_rwsem, cpuhp_thread.  wait stores its own
waits_for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kemu.kernel.own.system import system
from kemu.kernel.panic import Kind, panic
from kemu.memory.views import Task
from kemu.native import Word, current


@contextmanager
def waiting_on(owner: Word, what: str) -> Iterator[None]:
    """In this block the current task waits for whoever the word names.  May sleep inside.

    A cycle stops the machine with a report that names it.
    """
    me = current()
    me.waits_on.xchg(owner.offset)
    _check(me, what)
    yield
    me.waits_on.store(0)


@contextmanager
def waiting_for(whom: Task, what: str) -> Iterator[None]:
    """In this block the current task waits for another.  As waiting_on()."""
    me = current()
    me.waits_for.xchg(whom.ref)
    _check(me, what)
    yield
    me.waits_for.store(0)


def _check(me: Task, what: str) -> None:
    cycle = _cycle_from(me)
    if cycle and _cycle_from(me) == cycle:
        names = " waits for ".join(task.comm for task, _ in [*cycle, cycle[0]])
        panic(Kind.HANG, f"INFO: a cycle of waits, closed by {me.comm} ({what}):\n{names}")


def _following(task: Task) -> Task | None:
    """The task that this one waits for; None if it waits for none."""
    word = task.waits_on.load()
    return system.tasks.get(Word(system.memory, word).load() if word else task.waits_for.load())


def _cycle_from(me: Task) -> list[tuple[Task, int]]:
    """The tasks on the way from me back to me, with their counts of switches; [] if it ends elsewhere."""
    way: list[tuple[Task, int]] = []
    task = me
    while len(way) <= system.tasks.nr:
        way.append((task, task.nvcsw.load()))
        following = _following(task)
        if following is None:
            return []
        task = following
        if task.slot == me.slot:
            return way
        if any(task.slot == seen.slot for seen, _ in way):
            return []       # a cycle, but not ours: who closed it has reported it
    return []
