"""Completions: a count of events, and a queue of tasks that wait for one each.

Linux: kernel/sched/completion.c.  Not modelled: killable waits.

The C half, completion.c, does the waking and the waiting, because every path goes through
them and no exhibit replaces them.  Its head says which task writes what under which lock.

A completion counts: a complete() before wait_for_completion() is remembered, and each wait
takes one event.  After complete_all() no wait sleeps any more.

Any task may complete a completion.  If one task alone is to do so, completed_by() names that
task.  No operation reads the name: a report of a hang follows it (machine/waits.py).

Locks: the completion's, interrupts off; pi_lock nests inside.  The waiter needs the lock to
return, so complete() may be its waker's last access to the memory.
Callers: cpu_stop, hotplug, own, v2_6, harness, latency, races, torture; users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kemu import native
from kemu.kernel.sched.bug import broken
from kemu.kernel.sched.runqueue import this_rq
from kemu.kernel.sched.schedule import after_switch
from kemu.kernel.sched.timer import ticks_left, timeout
from kemu.memory.struct import ListHead, Lock, Struct, Word
from kemu.memory.views import Task
from kemu.native import current

FOREVER = native.COMPLETE_ALL


class Completion(Struct):
    """struct completion."""

    lock: Final = Lock()
    done: Final = Word()
    waiters: Final = ListHead()
    completer: Final = Word()


assert Completion.size == native.COMPLETION["sizeof"]
assert Completion.fields["done"][0] == native.COMPLETION["done"]
assert Completion.fields["waiters"][0] == native.COMPLETION["waiters_next"]
assert Completion.fields["completer"][0] == native.COMPLETION["completer"]


@contextmanager
def completion_on_stack() -> Iterator[Completion]:
    """A completion for the length of a block (Linux: DECLARE_COMPLETION_ONSTACK)."""
    done = Completion.alloc()
    try:
        yield done
    finally:
        done.free()


def init_completion(x: Completion) -> None:
    """Forget all events.  No task may be waiting."""
    x.done.store(0)


reinit_completion = init_completion


def completed_by(x: Completion, task: Task) -> None:
    """Name the task that will complete it, for reports of hangs.  Any context; does not sleep."""
    x.completer.store(task.ref)


def complete(x: Completion) -> None:
    """Add one event: one waiter may return.  Any context; does not sleep."""
    why = native.complete(x.base)
    if why:
        broken(why, this_rq(), current())


def complete_all(x: Completion) -> None:
    """Let all waiters return, now and later.  Any context; does not sleep."""
    why = native.complete_all(x.base)
    if why:
        broken(why, this_rq(), current())


def wait_for_completion(x: Completion) -> None:
    """Wait for an event and take it.  May sleep."""
    while status := native.wait_for_completion(x.base):
        after_switch(status)


def wait_for_completion_timeout(x: Completion, jiffies: int) -> int:
    """Wait for an event for at most that many ticks, and take it.  May sleep.

    Returns the ticks that are left, at least 1; 0 if no event has come.
    """
    with timeout(jiffies) as deadline:
        while status := native.wait_for_completion(x.base, deadline):
            after_switch(status)
    return 0 if status is None else max(ticks_left(deadline), 1)


def try_wait_for_completion(x: Completion) -> bool:
    """Take an event if there is one.  Any context; does not sleep."""
    flags = x.lock.lock_irqsave()
    done = x.done.load()
    if 0 < done < FOREVER:
        x.done.store(done - 1)
    x.lock.unlock_irqrestore(flags)
    return bool(done)


def completion_done(x: Completion) -> bool:
    """Whether an event is there to be taken."""
    return bool(x.done.load())
