"""Structures in shared memory.

    class Reactor(PerCPU):
        work = Word()

declares a structure; an instance of it is a view of one, at an address.  Fields
are :func:`Word`, :func:`Words`, :func:`Lock`, :func:`ListHead` and :func:`Embedded`.  A field
is zero until it is written.  Views pickle as their address.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self, TypeVar, cast

from kemu import native
from kemu.errors import UsageError
from kemu.memory import current_memory

WORD = 8


class Field:
    """A field's size, and how to view it at an address."""

    def __init__(self, size: int, view: Callable[[native.Memory, int], Any]) -> None:
        self.size = size
        self.view = view


def Word() -> native.Word:
    """One 64-bit word.  In an instance: a :class:`kemu.native.Word`."""
    return cast(native.Word, Field(WORD, native.Word))


def Words(count: int) -> list[native.Word]:
    """So many 64-bit words.  In an instance: a list of :class:`kemu.native.Word`."""
    return cast(list[native.Word], Field(WORD * count, lambda memory, base: [
        native.Word(memory, base + WORD * index) for index in range(count)]))


def Lock() -> native.SpinLock:
    """A spinlock.  In an instance: a :class:`kemu.native.SpinLock`."""
    return cast(native.SpinLock, Field(WORD, native.SpinLock))


List = native.List


class Ref:
    """A reference to a task, by slot and generation; it keeps nothing alive."""

    __slots__ = ("birth", "memory", "slot")

    def __init__(self, memory: native.Memory, base: int) -> None:
        self.memory: native.Memory = memory
        self.slot: native.Word = native.Word(memory, base)
        self.birth: native.Word = native.Word(memory, base + WORD)

    def set(self, task: Any) -> None:
        """Refer to a task, or to None."""
        self.birth.store(task.birth if task is not None else 0)
        self.slot.store_release(task.slot + 1 if task is not None else 0)

    def get(self) -> Any:
        """The task's handle, or None."""
        slot = self.slot.load_acquire()
        return _task_of(self.memory, slot - 1, self.birth.load()) if slot else None


_task_of: Callable[[native.Memory, int, int], Any]


def on_task_ref(resolve: Callable[[native.Memory, int, int], Any]) -> None:
    """The maker of a handle from memory, slot and birth.  views sets it, because views imports this."""
    global _task_of
    _task_of = resolve


def TaskRef() -> Ref:
    """A reference to a task.  In an instance: a :class:`Ref`."""
    return cast(Ref, Field(2 * WORD, Ref))


def ListHead() -> List:
    """A list head.  In an instance: a :class:`List`."""
    return cast(List, Field(2 * WORD, native.List))


S = TypeVar("S", bound="Struct")

_views: dict[tuple[int, type[Struct], int], Struct] = {}


def Embedded(struct: type[S]) -> S:
    """A structure inside a structure."""
    return cast(S, Field(struct.size, struct))


class Struct:
    """A structure at an address; subclasses declare its fields."""

    fields: ClassVar[dict[str, tuple[int, Field]]] = {}
    size: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        cls.fields = dict(cls.fields)
        for name, field in list(vars(cls).items()):
            if isinstance(field, Field):
                if field.view is native.SpinLock:
                    field.view = partial(native.SpinLock, lock_class=f"lock:{cls.__qualname__}.{name}")
                cls.fields[name] = (cls.size, field)
                cls.size += field.size

    def __init__(self, memory: native.Memory, base: int) -> None:
        self.memory: native.Memory = memory
        self.base: int = base
        for name, (offset, field) in self.fields.items():
            setattr(self, name, field.view(memory, base + offset))

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.fields and name in self.__dict__:
            raise UsageError(f"{type(self).__name__}.{name} is a place in shared memory: "
                             f"{name}.store(value)")
        super().__setattr__(name, value)

    @classmethod
    def at(cls, memory: native.Memory, base: int) -> Self:
        """The view of the structure at that address.  Made once: a view has no state of its own."""
        view = _views.get((memory.serial, cls, base))
        if view is None:
            view = _views[memory.serial, cls, base] = cls(memory, base)
        return cast(Self, view)

    @classmethod
    def alloc(cls) -> Self:
        """A new structure in the shared heap, all zero.  :meth:`free` gives it back."""
        memory = current_memory.get()
        return cls.at(memory, memory.heap_alloc(cls.size))

    def free(self) -> None:
        """Give it back.  Raises UsageError the second time."""
        self.memory.heap_free(self.base)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Struct) and self.base == other.base

    def __hash__(self) -> int:
        return hash((type(self), self.base))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.base:#x}>"

    def __reduce__(self) -> tuple[Any, ...]:
        current_memory.may_travel(self.memory)
        return _resolve_struct, (type(self), self.base)


def _resolve_struct(cls: type[Struct], base: int) -> Struct:
    return cls(current_memory.get(), base)


def _resolve_word(offset: int) -> native.Word:
    return native.Word(current_memory.get(), offset)


def _resolve_lock(offset: int) -> native.SpinLock:
    return native.SpinLock(current_memory.get(), offset)


def _reduce_word(word: native.Word) -> tuple[Any, ...]:
    current_memory.may_travel(word.memory)
    return _resolve_lock if isinstance(word, native.SpinLock) else _resolve_word, (word.offset,)


copyreg.pickle(native.Word, _reduce_word)
copyreg.pickle(native.SpinLock, _reduce_word)


CLEARED, KEPT = "percpu:", "kept:"      # how the symbols of per-CPU variables begin


# This process's views; not in the classes, which travel by value with all they hold.
_areas: dict[tuple[int, type[PerCPU], int], PerCPU] = {}


class PerCPU(Struct):
    """A structure of which each CPU has one (Linux: DEFINE_PER_CPU).

    Subclasses are declared anywhere, before or after boot.  :meth:`on` finds the structure of a
    CPU by the class's full name, which is the same in every process.  A race zeroes them before
    each trial, except those declared with ``keep=True``.
    """

    _prefix: ClassVar[str]

    def __init_subclass__(cls, keep: bool = False) -> None:
        super().__init_subclass__()
        cls._prefix = KEPT if keep else CLEARED

    @classmethod
    def on(cls, cpu: int) -> Self:
        """The structure of that CPU.  Raises UsageError if the machine has no such CPU."""
        memory = current_memory.get()
        area = _areas.get((memory.serial, cls, cpu))
        if area is None:
            area = _areas[memory.serial, cls, cpu] = cls(memory, _area_of(cls, memory, cpu))
        return cast(Self, area)

    @classmethod
    def this_cpu(cls) -> Self:
        """The structure of the CPU that the caller runs on; stable while preemption is off."""
        return cls.on(native.smp_processor_id())

    def __reduce__(self) -> tuple[Any, ...]:
        current_memory.may_travel(self.memory)
        return _resolve_percpu, (type(self), self.base)


def forget(memory: native.Memory) -> None:
    """Drop this process's views of a memory, so that it can be unmapped."""
    for cache in (_areas, _views):
        for key in [key for key in cache if key[0] == memory.serial]:
            del cache[key]  # type: ignore[arg-type]


def place_all() -> None:
    """Allocate every per-CPU structure that this process knows.

    Otherwise the first use does so, and then the heap of a machine's first trial differs from
    that of the next.
    """
    waiting = [PerCPU]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            cls.on(0)
            waiting.append(cls)


def _resolve_percpu(cls: type[PerCPU], base: int) -> PerCPU:
    return cls(current_memory.get(), base)


def symbol_of(cls: type[PerCPU]) -> str:
    """The symbol's name: it tells whether a race zeroes the variable."""
    return cls._prefix + f"{cls.__module__}.{cls.__qualname__}"[-native.SYMBOL_NAME + 8:]


def _area_of(cls: type[PerCPU], memory: native.Memory, cpu: int) -> int:
    """Where the CPU's structure is: in the symbol's block, which the first caller allocates."""
    nr_cpus = memory.nr_cpus
    if not 0 <= cpu < nr_cpus:
        raise UsageError(f"CPU {cpu}: this machine has CPUs 0 to {nr_cpus - 1}")
    symbol = native.Word(memory, memory.symbol(symbol_of(cls)))
    base = symbol.load_acquire()
    if not base:
        mine = memory.heap_alloc(WORD + max(cls.size, WORD) * nr_cpus)
        memory.write(mine, (cls.size * nr_cpus).to_bytes(WORD, "little"))
        base = symbol.cmpxchg(0, mine) or mine
        if base != mine:
            memory.heap_free(mine)
    return base + WORD + cls.size * cpu
