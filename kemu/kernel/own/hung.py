"""Which task waits for which: a cycle is found when it forms.

Linux: kernel/hung_task.c finds hung tasks by time; kernel/locking/lockdep.c finds orders of
locks that may hang.  This finds the hang itself, at the moment it is complete.

    task.waits_on   <- the offset of the word that names the owner of what the task waits for
                       (Task.ref): by the task, before it sleeps
    task.waits_for  <- the task (Task.ref) that it waits for, if it waits for no lock

The search reads the owner when it follows the edge, so an edge is never out of date.  Each
waiter stores its edge and then searches from there, with a full barrier in between.  If two
tasks close a cycle together, at least one of them therefore sees it.  A cycle is walked
twice: if no task on it was switched in between, all its edges held at the same time.

Locks: none.  Callers: locking, hotplug, v2_6.
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
    """In this block the current task waits for the task that the word names.  May sleep inside.

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
            return []       # a cycle without me: the task that closed it has reported it
    return []
