"""Functions and arguments that another process will load.

A function is published once into an append-only arena of the shared memory and
named by its offset there.  What every process can import travels by name, and the
rest by value (memory/pickler.py), so that scripts without a ``__main__`` guard,
notebooks and test modules work.  A closure that travels by value is a copy: the
processes do not share what its cells hold.  Share words, completions and tasks:
their handles mean the same everywhere.

The arguments of one call are read once.  They travel in a block of the heap, which
the reader frees (:func:`post`, :func:`take`).
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from kemu.errors import UsageError, shown, text_of
from kemu.memory import current_memory
from kemu.memory.pickler import Pickler

_loaded: dict[tuple[int, int], Any] = {}
_published: dict[tuple[int, int], tuple[Any, int]] = {}


def dumps(thing: Any) -> bytes:
    """Pickle a thing.  Raises UsageError that says what cannot travel, and why."""
    try:
        out = io.BytesIO()
        Pickler(out, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
        return out.getvalue()
    except Exception as error:
        raise UsageError(
            f"{shown(thing)} cannot go to another CPU: {text_of(error)}.  CPUs are processes of their own: "
            "pass plain values, or handles of kemu (tasks, words, completions); create files, "
            "locks and sockets inside the task"
        ) from error


def publish(function: Any) -> int:
    """Publish a function.  Returns its offset in the arena, which is the same for the same object."""
    memory = current_memory.get()
    known = _published.get((memory.serial, id(function)))
    if known and known[0] is function:
        return known[1]
    offset = memory.publish(dumps(function))
    _published[memory.serial, id(function)] = (function, offset)
    _loaded[memory.serial, offset] = function
    return offset


def load(offset: int) -> Any:
    """The function published at the offset.  Its first use loads it.  Never with interrupts off."""
    memory = current_memory.get()
    function = _loaded.get((memory.serial, offset))
    if function is None:
        function = _loaded[memory.serial, offset] = pickle.loads(memory.published(offset))
    return function


def post(thing: Any) -> int:
    """Put a thing into a block of the heap, for one reader to :func:`take`.  Returns its offset."""
    memory = current_memory.get()
    data = dumps(thing)
    block = memory.heap_alloc(8 + len(data))
    memory.write(block, len(data).to_bytes(8, "little") + data)
    return block


def peek(block: int) -> Any:
    """A copy of what was posted there."""
    memory = current_memory.get()
    length = int.from_bytes(memory.read(block, 8), "little")
    return pickle.loads(memory.read(block + 8, length))


def take(block: int) -> Any:
    """Load what was posted there, and free the block, also if the loading fails."""
    try:
        return peek(block)
    finally:
        current_memory.get().heap_free(block)


def forget(memory: Any) -> None:
    """Drop what is cached for a machine that is gone."""
    for cache in (_loaded, _published):
        for key in [key for key in cache if key[0] == memory.serial]:
            del cache[key]
