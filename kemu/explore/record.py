"""What a controlled trial did, step by step.

A step is raw numbers (:class:`Step`); :class:`Names` turns its offsets into names that
mean the same in every machine, so that two records can be compared.  A word of the heap
that has no name, and a published function, gets a number, in the order in which the record
first mentions it.

Locks: none; reads shared memory of a machine at rest, or of one that has stopped.
Callers: trials, table, schedule, replay, draw, minimise, strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kemu import native
from kemu.kernel.own.word_names import Words
from kemu.memory.views import Header, Task, tasks_of

WORD = 8
OPS = {native.OP_LOAD: "load", native.OP_STORE: "store", native.OP_XCHG: "xchg",
       native.OP_CMPXCHG: "cmpxchg", native.OP_ADD: "add", native.OP_OR: "or",
       native.OP_AND: "and", native.OP_WAIT: "wait", native.OP_LOCK: "lock",
       native.OP_UNLOCK: "unlock", native.OP_POINT: "point", native.OP_START: "start",
       native.OP_RELAX: "relax", native.OP_IDLE: "wakes", native.OP_IRQ: "takes",
       native.OP_FENCE: "barrier", native.OP_DRAIN: "drain", native.OP_PICK: "pick"}
COUNTS = (".nvcsw", ".nivcsw")      # count since boot, before trials are controlled: no two machines agree
WAYS = {native.WAY_LATE: ", into the buffer", native.WAY_OLDER: ", an older value",
        native.WAY_OWN: ", from the buffer"}
READS = frozenset({native.OP_LOAD, native.OP_WAIT, native.OP_POINT, native.OP_START,
                   native.OP_RELAX, native.OP_IDLE, native.OP_IRQ, native.OP_FENCE, native.OP_PICK})


class Step(NamedTuple):
    """One step.

    seen, after: what the word held just before and just after.  flags: STEP_ bits: whether
    the step reads and writes the word, and what could interrupt it.  way: how it was done under a
    memory model, a native.WAY_.  alt, enabled, due, drains,
    values, choice, before: what was taken, of what was offered (native/hardware/chooser.h).
    """

    op: int
    cpu: int
    task: int
    word: int
    value: int
    seen: int
    after: int
    flags: int
    way: int
    alt: int
    enabled: int
    due: int
    drains: int
    values: int
    choice: int
    before: int

    @property
    def chosen(self) -> bool:
        """Whether anything else could have happened instead."""
        return self.choice != native.NO_CHOICE


def choices_of(steps: Sequence[Step]) -> bytes:
    """The trial as the list of its choices."""
    return bytes(step.alt for step in steps if step.chosen)


class Names:
    """Names for what is in the record of one machine."""

    def __init__(self, memory: native.Memory) -> None:
        self.tasks: native.Tasks[Task] = tasks_of(memory)
        self.words: Words = Words(memory)
        self.first_cpu: int = memory.cpus
        self.symbols: int = memory.symbols
        self.heap: tuple[int, int] = self.words.heap
        header = Header(memory)
        self.arena: tuple[int, int] = header.arena.load(), header.arena_end.load()
        self.numbers: dict[int, str] = {}

    def word(self, offset: int) -> str:
        """The name of a word."""
        return self.words.name(offset) or \
            self.numbers.setdefault(offset, f"heap{len(self.numbers) + 1}")

    def task(self, slot: int) -> str:
        """The name of a task; with its slot, if another has the same."""
        return self.tasks.at(slot).comm if 0 <= slot < self.tasks.nr else f"task{slot}"

    def value(self, value: int) -> str:
        """A value; by name if it is the address of a word or of a published function."""
        if value % WORD == 0:
            if self.first_cpu <= value < self.symbols or self.heap[0] <= value < self.heap[1]:
                return self.word(value)
            if self.arena[0] <= value < self.arena[1]:
                return self.numbers.setdefault(value, f"function{len(self.numbers) + 1}")
        return str(value)

    def step(self, step: Step) -> str:
        """A step in words, the same in every machine."""
        where = f"cpu{step.cpu} {self.task(step.task)}"
        if step.op in (native.OP_POINT, native.OP_START):
            return f"{where}: {OPS[step.op]} {self.word(step.word)}"
        seen = "a count" if self.word(step.word).endswith(COUNTS) else self.value(step.seen)
        given = "" if step.op in READS or step.op in (native.OP_LOCK, native.OP_UNLOCK) \
            else f" {self.value(step.value)}"
        return (f"{where}: {OPS.get(step.op, step.op)} {self.word(step.word)} ({seen}){given}"
                + WAYS.get(step.way, ""))


class Record:
    """The steps of a trial, with the names of the machine in which it ran.

    ``pending``: for each CPU that a machine which stopped had made wait, the step that it was about
    to do.  ``tasks`` and ``words``: the names of each step's, first of the steps, then of these.
    """

    def __init__(self, steps: Sequence[Step], names: Names, pending: Sequence[Step] = ()) -> None:
        self.steps: list[Step] = list(steps)
        self.pending: list[Step] = list(pending)
        self.choices: bytes = choices_of(steps)
        names.numbers.clear()
        self.lines: list[str] = [names.step(step) for step in steps]
        self.tasks: list[str] = [names.task(step.task) for step in [*steps, *pending]]
        self.words: list[str] = [names.word(step.word) for step in [*steps, *pending]]

    def parting(self, other: Record) -> str:
        """Where the other record parts from this one, in words; "" if nowhere."""
        return parting(self.lines, other.lines)


def parting(before: Sequence[str], now: Sequence[str]) -> str:
    """The first step in which two records differ, in words; "" if there is none."""
    for number, (was, is_) in enumerate(zip(before, now, strict=False)):
        if was != is_:
            return f"step {number} was {was!r}, is {is_!r}"
    return "" if len(before) == len(now) else f"it had {len(before)} steps, and has {len(now)}"
