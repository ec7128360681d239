"""Which memory this process, or this thread, is looking at.

A CPU process belongs to one machine for life and calls :func:`attach` once.
The controller may hold several machines, and names one for the time it unpickles
something of it (:func:`looking_at`).  Handles that travel (tasks, words,
structures) resolve through :func:`this`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kemu.errors import NoTask, UsageError
from kemu.native import Memory

_attached: Memory | None = None


class _Looking(threading.local):
    """Per thread.  The class has the attribute too: this() is on every path, and must not miss."""

    memory: Memory | None = None


_looking = _Looking()
_on_attach: list[Callable[[Memory], None]] = []


def attach(memory: Memory) -> None:
    """Make ``memory`` this process's.  Everybody who registered is told, in order."""
    global _attached
    _attached = memory
    for tell in _on_attach:
        tell(memory)


def on_attach(tell: Callable[[Memory], None]) -> Callable[[Memory], None]:
    """Decorator: call the function with the memory when the process gets one."""
    _on_attach.append(tell)
    return tell


def attached() -> Memory | None:
    """This process's memory, or None outside a CPU process."""
    return _attached


def this() -> Memory:
    """The memory in view.  Raises NoTask where there is none."""
    memory = _looking.memory or _attached
    if memory is None:
        raise NoTask("no machine in view: do this in a task (Machine.run), "
                     "or say which machine you mean")
    return memory


def may_travel(memory: Memory) -> None:
    """A handle into ``memory`` is pickled.  Raises UsageError if another machine is in view.

    A handle is a place: on another machine it would mean whatever is there.
    """
    there = _looking.memory or _attached
    if there is not None and there is not memory:
        raise UsageError("a handle (task, word, completion) of another machine: it means "
                         "something on its own only")


@contextmanager
def looking_at(memory: Memory) -> Iterator[None]:
    """Let the calling thread resolve handles in ``memory``."""
    before = _looking.memory
    _looking.memory = memory
    try:
        yield
    finally:
        _looking.memory = before
