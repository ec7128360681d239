"""The memory that handles mean here: a process has one, and a thread may name another.

A CPU process belongs to one machine for life and calls :func:`attach` once.  The controller
may hold several machines, so a thread of it names one of them for a block
(:func:`looking_at`).  Handles that travel (tasks, words, structures) find their memory with
:func:`get`.

Locks: none.  Callers: memory, kernel, machine, harness.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kemu.errors import NoTask, UsageError
from kemu.native import Memory

_attached: Memory | None = None


class _Looking(threading.local):
    """The memory that a thread looks at.

    The class has the attribute too.  get() is on every path, and without it the first look of
    a thread would miss.
    """

    memory: Memory | None = None


_looking = _Looking()
_on_attach: list[Callable[[Memory], None]] = []


def attach(memory: Memory) -> None:
    """Make ``memory`` this process's.  Calls every function that on_attach() registered, in order."""
    global _attached
    _attached = memory
    for call in _on_attach:
        call(memory)


def on_attach(call: Callable[[Memory], None]) -> Callable[[Memory], None]:
    """Decorator: call the function with the memory when the process attaches one."""
    _on_attach.append(call)
    return call


def attached() -> Memory | None:
    """This process's memory, or None outside a CPU process."""
    return _attached


def get() -> Memory:
    """The memory that handles mean here.  Raises NoTask if there is none."""
    memory = _looking.memory or _attached
    if memory is None:
        raise NoTask("this needs a machine, and the calling thread looks at none: call it in a task "
                     "(Machine.run), or in a block of `with machine.looking():`")
    return memory


def may_travel(memory: Memory) -> None:
    """Called when a handle into ``memory`` is pickled.

    Raises UsageError if handles mean another machine here: a handle is an offset, and on
    another machine it would mean whatever lies at that offset.
    """
    there = _looking.memory or _attached
    if there is not None and there is not memory:
        raise UsageError("this is a handle (task, word, completion) of another machine: it "
                         "means something on its own machine only.  Create one there")


@contextmanager
def looking_at(memory: Memory) -> Iterator[None]:
    """In this block, handles of the calling thread mean ``memory``."""
    before = _looking.memory
    _looking.memory = memory
    try:
        yield
    finally:
        _looking.memory = before
