"""The plan and the record of a controlled trial, in shared memory.

The layout is in native/hardware/trial.h (struct kemu_chooser, struct kemu_step).  The
two blocks of the heap outlive a machine that stops, so the controller can read what led
there.

    header.chooser  <- the block: by the referee, when it makes the table
    the plan        <- by the referee, at rest, before it arms the chooser
    the record      <- by the CPU that has the baton; read when the trial is over

Locks: none.  Callers: referee, trials.
"""

from __future__ import annotations

import struct

from kemu import native
from kemu.explore.plan import MAX_STEPS, RULES, Plan
from kemu.explore.record import Step
from kemu.harness.race import MEMORY
from kemu.memory.views import Cpu, Header

STEP = struct.Struct(f"<{len(Step._fields)}q")
WORD = struct.Struct("<Q")
CLOCK_BEGINS_NS = 1_000_000_000     # the same in each trial

assert STEP.size == native.STEP["sizeof"] and tuple(native.STEP) == (*Step._fields, "sizeof")


def _put(block: bytearray, field: str, *words: int) -> None:
    struct.pack_into(f"<{len(words)}Q", block, native.CHOOSER[field], *words)


class Table:
    """The chooser's two blocks in the memory."""

    def __init__(self, memory: native.Memory, base: int, record: int, model: str = "sc") -> None:
        self.memory = memory
        self.base = base
        self.record = record
        self.model = model
        self.skips: list[tuple[int, int]] = []

    @classmethod
    def alloc(cls, memory: native.Memory) -> Table:
        """Make the memory's table.  Raises OutOfMemory."""
        table = cls(memory, memory.heap_alloc(native.CHOOSER["sizeof"]),
                    memory.heap_alloc(MAX_STEPS * STEP.size))
        Header(memory).chooser.store(table.base)
        return table

    @classmethod
    def of(cls, memory: native.Memory) -> Table | None:
        """The table that the memory has; None if no trial was ever controlled."""
        base = Header(memory).chooser.load()
        return cls(memory, base, cls(memory, base, 0).word("record")) if base else None

    def skip(self, base: int, size: int) -> None:
        """Exclude the words there from the trials.  Raises ValueError if there are too many ranges."""
        if len(self.skips) == native.MAX_SKIPS:
            raise ValueError(f"more than {native.MAX_SKIPS} ranges")
        self.skips.append((base, base + size))

    def write(self, plan: Plan) -> None:
        """Put the plan in place, and begin an empty record.  No trial runs."""
        block = bytearray(native.CHOOSER["planned"])
        _put(block, "rule", RULES[plan.rule])
        _put(block, "seed", plan.seed & (1 << 64) - 1)
        _put(block, "nr_planned", len(plan.choices))
        _put(block, "max_steps", MAX_STEPS)
        _put(block, "options", native.CHOOSE_IRQS * plan.irqs | native.CHOOSE_TICKS * plan.ticks)
        _put(block, "memory", MEMORY[self.model])
        _put(block, "record", self.record)
        _put(block, "start_point", self.memory.symbol("point:start"))
        _put(block, "done_point", self.memory.symbol("point:done"))
        _put(block, "parted_at", native.NO_CHOICE)
        _put(block, "skips", *(word for pair in self.skips for word in pair))
        _put(block, "priorities", *plan.priorities)
        changes = [*plan.changes, *[native.NO_CHOICE] * native.MAX_CHANGES][:native.MAX_CHANGES]
        _put(block, "changes", *changes)
        self.memory.write(self.base, bytes(block) + plan.choices)

    def arm(self, cpu: int) -> None:
        """From here the chooser decides each step, and the calling CPU has the baton."""
        header = Header(self.memory)
        header.clock_ns.store(CLOCK_BEGINS_NS)
        header.baton.store(cpu + 1)
        header.gate.fetch_or(native.GATE_CONTROL)

    def cpu_words(self) -> range:
        """Where the words of the CPUs are: those of CPU 0 first, a step of the range for each CPU."""
        header, size = Header(self.memory), native.CPU["sizeof"]
        first = header.cpus.load()
        return range(first, first + header.nr_cpus.load() * size, size)

    def word(self, field: str) -> int:
        """A field of the chooser."""
        place = self.base + native.CHOOSER[field]
        return int(WORD.unpack(self.memory.read(place, WORD.size))[0])

    def steps(self) -> list[Step]:
        """The steps of the trial, as far as the record has room."""
        taken = min(self.word("nr_steps"), MAX_STEPS)
        data = self.memory.read(self.record, taken * STEP.size)
        return [Step(*words) for words in STEP.iter_unpack(data)]

    def pending(self) -> list[Step]:
        """Of a machine that has stopped: the step that each CPU had announced and not done."""
        cpus = [Cpu(self.memory, number) for number in range(self.memory.nr_cpus)]
        nothing = dict.fromkeys(Step._fields, 0) | {"choice": native.NO_CHOICE}
        return [Step(**nothing | {"op": cpu.want.load(), "cpu": cpu.cpu, "task": cpu.want_task.load(),
                                  "word": cpu.want_word.load()}) for cpu in cpus if cpu.want.load()]
