"""Small memories, their words by name, and threads that are tasks of them.

Nothing here boots a machine: what these tests look at is the hardware alone.  A
test keeps its memory in a local variable, so that it is unmapped with the test.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kemu import native
from kemu.native import Memory, SpinLock, Word

T = TypeVar("T")


def small(cpus: int = 2, tasks: int = 4, heap: int = 1 << 14, arena: int = 1 << 12) -> Memory:
    return Memory.create(cpus, tasks, heap, arena)


def header(memory: Memory, name: str) -> Word:
    return Word(memory, native.HEADER[name])


def cpu_offset(memory: Memory, cpu: int, name: str) -> int:
    return header(memory, "cpus").load() + cpu * native.CPU["sizeof"] + native.CPU[name]


def task_offset(memory: Memory, slot: int, name: str) -> int:
    return header(memory, "tasks").load() + slot * native.TASK["sizeof"] + native.TASK[name]


def cpu_word(memory: Memory, cpu: int, name: str) -> Word:
    return Word(memory, cpu_offset(memory, cpu, name))


def task_word(memory: Memory, slot: int, name: str) -> Word:
    return Word(memory, task_offset(memory, slot, name))


def new_word(memory: Memory, value: int = 0) -> Word:
    word = Word(memory, memory.heap_alloc(8))
    word.store(value)
    return word


def new_lock(memory: Memory) -> SpinLock:
    return SpinLock(memory, memory.heap_alloc(8))


def stop(memory: Memory) -> None:
    """What a panic does: nobody sleeps through it."""
    header(memory, "gate").fetch_or(native.GATE_PANIC)
    memory.notify_all()


def as_task(memory: Memory, function: Callable[[], T], slot: int = 0) -> Callable[[], T]:
    """The function, to be called in a thread of its own, where it runs as a task."""
    def body() -> T:
        task_word(memory, slot, "tid").store(0)
        native.enter(memory, slot, f"view of {slot}")
        try:
            return function()
        finally:
            native.leave()
    return body


def together(*functions: Callable[[], T]) -> list[T]:
    """Run each in a thread; what they return, or the first exception."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(each) for each in functions]]


def in_task(memory: Memory, function: Callable[[], T], slot: int = 0) -> T:
    """Run the function as a task; what it returns or raises."""
    return together(as_task(memory, function, slot))[0]
