"""Names for the words of shared memory that mean the same in every machine.

kemu's own.

    sleeper.state               a field of the task of that name (native/hardware/layout.h)
    worker.kthread.flags        a field of its struct kthread
    cpu1.need_resched           a field of a CPU
    Ring[0].head                a field of CPU 0's part of a per-CPU variable
    online_mask                 a field of the header

A word of the heap that is none of these has no name: two machines may have it in two places.

    WordName.parse()    what a name means; it needs no machine
    Words               the names of the words of one machine

Locks: none; reads shared memory of a machine at rest, or of one that has stopped.
Callers: harness/operation and script; explore/record.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from kemu import native
from kemu.errors import UsageError
from kemu.kernel.kthread import KThread
from kemu.memory.struct import CLEARED, KEPT, WORD, PerCPU, Struct, symbol_of
from kemu.memory.views import NO_WORDS, Header, Task, task_column, tasks_of

KTHREAD = ".kthread."
_CPU = re.compile(r"cpu(\d+)\.(.+)")
_PER_CPU = re.compile(r"(\w+)\[(\d+)\](?:\.(.+))?")


def fields_of(struct: type[Struct]) -> dict[str, int]:
    """The offset of each word of a structure, by its name."""
    return dict(_words_of(struct))


def _words_of(struct: type[Struct]) -> Iterator[tuple[str, int]]:
    for name, (offset, field) in struct.fields.items():
        if isinstance(field.view, type) and issubclass(field.view, Struct):
            yield from ((f"{name}.{inner}", offset + more) for inner, more in _words_of(field.view))
        elif field.size == WORD:
            yield name, offset
        else:
            yield from ((f"{name}[{number}]", offset + WORD * number)
                        for number in range(field.size // WORD))


def _layout(fields: dict[str, int]) -> dict[str, int]:
    return {name: offset for name, offset in fields.items() if name not in NO_WORDS}


@dataclass(frozen=True)
class WordName:
    """What a name means.

    base: an enum kemu_base.  owner: the task that has the word, for BASE_TASK and BASE_KTHREAD.
    offset: from that base.  cpu: for a field of a CPU, or of a per-CPU variable; otherwise -1.
    variable, field: of a per-CPU variable, the name of its class and the field.  Which class it is, if
    several have the name, the process decides that places the word: a CPU process knows the race's own.
    """

    base: int
    owner: str
    offset: int
    cpu: int = -1
    variable: str = ""
    field: str = ""

    @classmethod
    def parse(cls, name: str) -> WordName:
        """Raises UsageError for a name that no word has, with close ones."""
        cpu, per_cpu = _CPU.fullmatch(name), _PER_CPU.fullmatch(name)
        if cpu:
            return cls(native.BASE_MEMORY, "", _field(name, cpu[2], _layout(native.CPU)), int(cpu[1]))
        if per_cpu:
            field = per_cpu[3] or ""
            offset = _field(name, field, fields_of(_variable(name, per_cpu[1], field)))
            return cls(native.BASE_MEMORY, "", offset, int(per_cpu[2]), per_cpu[1], field)
        if KTHREAD in name:
            owner, _, field = name.partition(KTHREAD)
            return cls(native.BASE_KTHREAD, owner, _field(name, field, fields_of(KThread)))
        owner, dot, field = name.rpartition(".")
        if dot and owner:
            return cls(native.BASE_TASK, owner, _field(name, field, _layout(native.TASK)))
        return cls(native.BASE_MEMORY, "", _field(name, name, _layout(native.HEADER)))

    def place(self, memory: native.Memory) -> int:
        """What hold.c takes: the offset in the memory, or from the base.

        Raises UsageError if the machine has no such CPU.
        """
        if self.variable:
            found = _variable(self.variable, self.variable, self.field)
            return found.on(self.cpu).base + fields_of(found)[self.field]
        if self.cpu < 0:
            return self.offset
        if self.cpu >= memory.nr_cpus:
            raise UsageError(f"cpu{self.cpu}: this machine has CPUs 0 to {memory.nr_cpus - 1}")
        return memory.cpus + self.cpu * native.CPU["sizeof"] + self.offset


def _field(name: str, field: str, fields: dict[str, int]) -> int:
    if field in fields:
        return fields[field]
    close = difflib.get_close_matches(field, fields, 1)
    raise UsageError(f"{name!r} is not a word: there is no field {field!r}"
                     + (f"; did you mean {close[0]!r}?" if close else "; expected one of "
                        + ", ".join(sorted(fields)[:40])))


def _variables(of: type[PerCPU] = PerCPU) -> Iterator[type[PerCPU]]:
    for one in of.__subclasses__():
        yield one
        yield from _variables(one)


def _variable(name: str, short: str, field: str) -> type[PerCPU]:
    """The class of that short name; of several, the last one that has the field."""
    found: dict[str, list[type[PerCPU]]] = defaultdict(list)
    for one in _variables():
        found[one.__qualname__.rpartition(".")[2]].append(one)
    if short in found:
        return ([one for one in found[short] if field in fields_of(one)] or found[short])[-1]
    close = difflib.get_close_matches(short, found, 1)
    raise UsageError(f"{name!r} is not a word: there is no per-CPU variable {short!r}"
                     + (f"; did you mean {close[0]!r}?" if close else "; a word is TASK.FIELD, "
                        "cpuN.FIELD or VARIABLE[CPU].FIELD"))


def _fields_at(struct: type[Struct]) -> dict[int, str]:
    return {offset: name for name, offset in fields_of(struct).items()}


def _at(fields: dict[str, int]) -> dict[int, str]:
    return {offset: name for name, offset in _layout(fields).items()}


HEADER_AT, CPU_AT, TASK_AT = _at(native.HEADER), _at(native.CPU), _at(native.TASK)


class Words:
    """The names of the words of one machine."""

    def __init__(self, memory: native.Memory) -> None:
        header = Header(memory)
        self.memory = memory
        self.tasks: native.Tasks[Task] = tasks_of(memory)
        self.nr_cpus: int = memory.nr_cpus
        self.symbols: tuple[int, int] = memory.symbols, header.rings.load()
        self.heap: tuple[int, int] = header.heap.load(), header.heap_end.load()
        self.variables: list[tuple[int, int, str, dict[int, str]]] = list(
            self._find_variables(header.nr_symbols.load()))
        columns = zip(task_column(memory, "kthread"), task_column(memory, "used"), strict=True)
        self.kthreads: dict[int, int] = {base: slot for slot, (base, used) in enumerate(columns)
                                         if base and used}

    def _find_variables(self, nr: int) -> Iterator[tuple[int, int, str, dict[int, str]]]:
        """Each per-CPU variable: where it is, the size of a CPU's part, its name, its fields."""
        classes = {symbol_of(one): one for one in _variables()}
        for index in range(nr):
            symbol = self.memory.symbols + index * (native.SYMBOL_NAME + WORD)
            name = self.memory.symbol_name(symbol)
            block = native.Word(self.memory, symbol).load()
            if block and name.startswith((CLEARED, KEPT)):
                size = native.Word(self.memory, block).load() // self.nr_cpus
                known = classes.get(name) or _imported(name)
                yield (block + WORD, size, name.rpartition(".")[2],
                       _fields_at(known) if known else {})

    def name(self, offset: int) -> str:
        """The name of a word; "" if it has none."""
        memory = self.memory
        if memory.cpus <= offset < memory.cpus + self.nr_cpus * native.CPU["sizeof"]:
            cpu, field = divmod(offset - memory.cpus, native.CPU["sizeof"])
            return f"cpu{cpu}." + CPU_AT.get(field, f"rt_queue+{field - native.CPU['rt_queue']}")
        if memory.tasks <= offset < memory.tasks + self.tasks.nr * native.TASK["sizeof"]:
            slot, field = divmod(offset - memory.tasks, native.TASK["sizeof"])
            return f"{self.tasks.at(slot).comm}.{TASK_AT.get(field, field)}"
        if self.symbols[0] <= offset < self.symbols[1]:
            return memory.symbol_name(offset).removeprefix("point:")
        if self.heap[0] <= offset < self.heap[1]:
            return self._of_heap(offset)
        return HEADER_AT.get(offset, f"header+{offset}")

    def _of_heap(self, offset: int) -> str:
        for base, size, name, fields in self.variables:
            if size and base <= offset < base + size * self.nr_cpus:
                cpu, field = divmod(offset - base, size)
                return f"{name}[{cpu}]" + (f".{fields[field]}" if field in fields else f"+{field // WORD}")
        for base, slot in self.kthreads.items():
            if base <= offset < base + KThread.size:
                return f"{self.tasks.at(slot).comm}{KTHREAD}{_fields_at(KThread)[offset - base]}"
        return ""


def _imported(symbol: str) -> type[PerCPU] | None:
    """The class of one of kemu's own variables, whose module this process may not have imported."""
    path, _, name = symbol.partition(":")[2].rpartition(".")
    if not path.startswith("kemu."):
        return None
    return getattr(importlib.import_module(path), name, None)
