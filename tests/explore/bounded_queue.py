"""A bounded queue whose two producers take the same index; after the fix, one operation takes it."""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.native import Word

SIZE = 2


class Queue(kemu.PerCPU):
    """Only CPU 0's is used."""

    head = kemu.Word()
    first = kemu.Word()
    second = kemu.Word()


race = kemu.Race("bounded-queue", cpus=2)


def put(item: int) -> None:
    """Take an index, then fill its slot."""
    queue = Queue.on(0)
    slot(queue.head.add(1) - 1).store(item)


@race.before(put)
def put_as_shipped(item: int) -> None:
    """Fill the slot, then move the index on."""
    queue = Queue.on(0)
    index = queue.head.load()
    slot(index).store(item)
    queue.head.store(index + 1)


def slot(index: int) -> Word:
    return Queue.on(0).second if index % SIZE else Queue.on(0).first


@race.actor(cpu=0)
def one(t: Trial) -> None:
    with t.window():
        put(1)


@race.actor(cpu=1)
def other(t: Trial) -> None:
    with t.window():
        put(2)


@race.invariant()
def both_items_are_there(t: Trial) -> None:
    items = sorted((slot(0).load(), slot(1).load()))
    assert items == [1, 2], f"the queue has {items}"
