"""The hardware's surface, as its stub lists it, and a world in which to call it.

A call is a name and arguments; the arguments are values, or things of the world
(a memory, a word, a block's offset) by name.  A fresh world is the same each
time, so that an example of hypothesis means the same twice.
"""

from __future__ import annotations

import ast
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from kemu import native
from kemu.errors import KemuError, MachineStopped
from tests.native import memories

STUB = Path(native.__file__).with_name("_hardware.pyi")
CLASSES = {name: kind for name, kind in vars(native._hardware).items() if isinstance(kind, type)}
WAITS = {"schedule", "schedule_once", "wait_for_completion", "wait_turn", "idle", "Word.wait_while"}
LINKS = {"Memory.list_add", "Memory.list_add_tail", "Memory.list_del", "List.add", "List.add_tail",
         "complete", "complete_all"}
PID_MAX = 1 << 22       # no host has a thread of a higher number
TASKS = 4               # the last has no used slot


class Target(NamedTuple):
    name: str
    arity: int


class Call(NamedTuple):
    name: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Thing:
    """Something of the world, by its name."""

    name: str


class Boom(Exception):
    """Raised by an argument."""


class Raises:
    """An integer that does not want to be one."""

    def __index__(self) -> int:
        raise Boom


class Leaves:
    """An integer that pulls the rug away while it is read."""

    def __index__(self) -> int:
        native.leave()
        return 1


class Enters:
    """A view whose end makes the thread a task again."""

    def __init__(self, memory: native.Memory) -> None:
        self.memory = memory

    def __del__(self) -> None:
        try:
            native.enter(self.memory, 2, None)
        except KemuError:
            pass


TYPED = (TypeError, OverflowError, OSError, KemuError, MachineStopped, Boom)


def _arity(node: ast.FunctionDef) -> int:
    return len([arg for arg in node.args.posonlyargs + node.args.args
                if arg.arg not in ("self", "cls")])


def targets() -> list[Target]:
    """Every function, class and method the stub knows."""
    found = []
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.append(Target(node.name, _arity(node)))
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    name = node.name if method.name == "__new__" else f"{node.name}.{method.name}"
                    found.append(Target(name, _arity(method)))
    return found


class World:
    """A memory with something of everything in it."""

    def __init__(self) -> None:
        self.memory = memories.small(cpus=2, tasks=TASKS)
        for _ in range(TASKS - 1):
            self.memory.task_alloc()
        self.word = memories.new_word(self.memory)
        self.lock = native.SpinLock(self.memory, memories.task_offset(self.memory, 3, "pi_lock"))
        self.tids = {memories.task_offset(self.memory, slot, "tid") for slot in range(TASKS)}
        self.things: dict[str, Any] = {
            "memory": self.memory, "other memory": memories.small(), "word": self.word,
            "lock": self.lock, "block": self.memory.heap_alloc(100), "heap": self.word.offset,
            "node": self.memory.heap_alloc(16), "symbol": self.memory.symbol("a name"),
            "published": self.memory.publish(b"bytes"), "size": self.memory.size,
            "head": memories.cpu_offset(self.memory, 0, "fair_next"), "fd": self.memory.fileno(),
            "report": native.HEADER["report"], "raises": Raises(), "leaves": Leaves(),
            "callable": native.leave, "factory": lambda memory, slot: (memory, slot),
            "list": [], "object": object(),
        }

    def scribble(self, offset: int, value: int) -> None:
        """Write into the memory behind everybody's back, as a broken process might."""
        where = offset % self.memory.size & ~7
        if where not in self.tids:      # a host thread that is moved would be somebody's
            os.pwrite(self.memory.fileno(), struct.pack("<q", value), where)

    def fields(self) -> list[int]:
        """Where the hardware looks: the words of the header, of a CPU, of a task, of a hold."""
        places = [(0, native.HEADER), (native.HEADER["holds"], native.HOLD),
                  (memories.header(self.memory, "cpus").load(), native.CPU),
                  (memories.header(self.memory, "tasks").load(), native.TASK)]
        return [base + offset for base, layout in places
                for name, offset in layout.items() if name != "sizeof"]

    def resolve(self, arg: Any) -> Any:
        return self.things[arg.name] if isinstance(arg, Thing) else arg

    def instance(self, kind: str) -> object:
        """A thing of that class: of a new class, say here how to get one."""
        match kind:
            case "Memory":
                return self.memory
            case "Word":
                return self.word
            case "SpinLock":
                return self.lock
            case "List":
                return native.List(self.memory, self.things["head"])
            case "Tasks":
                return native.Tasks(self.memory, self.things["factory"])
            case "RunQueue":
                return native.RunQueue(self.memory, 0)
        raise NotImplementedError(kind)

    def function(self, name: str) -> Callable[..., object]:
        owner, _, method = name.rpartition(".")
        if not owner:
            return cast(Callable[..., object], getattr(native, name))
        found: Any = getattr(self.instance(owner), method)
        return found if callable(found) else lambda: found      # a property

    def do(self, call: Call) -> None:
        """The call returns, or raises one of the typed errors."""
        args = [self.resolve(arg) for arg in call.args]
        if call.name == "pin" and args and isinstance(args[0], int) and 0 < args[0] <= PID_MAX:
            args[0] = 0
        if call.name == "Memory.wait_monitor":      # a ring ends the wait
            for cpu in range(2):
                self.memory.notify_monitor(cpu)
        try:
            self.function(call.name)(*args)
        except TYPED:
            pass


def is_tame(call: Call) -> bool:
    """Whether a machine that runs survives it: no endless wait, no list through the hardware.

    Links and locks are words like others: a list laid through a CPU's pending interrupts
    or an allocator's lock means what it says there, and that is to wait; so does a
    completion whose lock is any word.
    """
    if call.name in LINKS:
        return all(arg in (Thing("node"), Thing("head"), Thing("block")) for arg in call.args)
    return call.name not in WAITS
