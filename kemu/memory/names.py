"""What lies at an offset of the shared memory, by the name that a program gives it.

A per-CPU variable is found through its symbol (struct.py), and the field of it through its class.
Class and field are known in each process that has imported, or declared, the class.

    Shop.on(0).lock     a structure in a per-CPU variable
    Shop.on(1)          the class is not known here: only the variable is named

Locks: none.  Callers: machine/waits.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu import native
from kemu.memory.struct import CLEARED, KEPT, WORD, PerCPU, Struct, symbol_of

STEP = native.SYMBOL_NAME + WORD


def percpu_name(memory: native.Memory, offset: int, kind: type[Struct] | None = None) -> str:
    """The name of what lies there; "" if it is not a part of a per-CPU variable.

    kind: what begins there; without it, the name is that of the innermost field.
    """
    for full, block in _variables(memory):
        size, inside = native.Word(memory, block).load(), offset - block - WORD
        if 0 <= inside < size:
            cpu, at = divmod(inside, max(size // memory.nr_cpus, 1))
            cls = _class_named(full)
            fields = _fields_at(cls, at, kind) if cls else []
            name = cls.__qualname__ if cls else full.partition(":")[2]
            return ".".join([f"{name}.on({cpu})", *fields])
    return ""


def _variables(memory: native.Memory) -> Iterator[tuple[str, int]]:
    """The symbol and the block of each per-CPU variable that some process has used."""
    nr = native.Word(memory, native.HEADER["nr_symbols"]).load_acquire()
    for index in range(min(nr, native.NR_SYMBOLS)):
        symbol = memory.symbols + index * STEP
        full, block = memory.symbol_name(symbol), native.Word(memory, symbol).load_acquire()
        if block and full.startswith((CLEARED, KEPT)):
            yield full, block


def _classes(base: type[PerCPU]) -> Iterator[type[PerCPU]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _classes(cls)


def _class_named(full: str) -> type[PerCPU] | None:
    return next((cls for cls in _classes(PerCPU) if symbol_of(cls) == full), None)


def _fields_at(struct: type[Struct], at: int, kind: type[Struct] | None) -> list[str]:
    """The names of the fields, outermost first, that lead to the place."""
    for name, (offset, field) in struct.fields.items():
        if offset <= at < offset + field.size:
            inner = field.view if isinstance(field.view, type) else None
            if inner is None or not issubclass(inner, Struct) or (inner is kind and at == offset):
                return [name]
            return [name, *_fields_at(inner, at - offset, kind)]
    return []
