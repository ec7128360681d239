"""Whether something has written over a machine's memory, as far as a look can tell.

A look compares the words that have one value for life, or a few values, at every instant: the
shape in the header, a CPU's number, the owner of a lock, the class of a task.  A sound memory
passes at any instant, whatever its CPUs do meanwhile and wherever they were killed.  A damaged
memory may pass too, because most words may have any value.

What a look needs of the memory's shape, it takes from the mapping (native.Memory), which has
checked it when it was made, and never from the header.

Locks: none; any process, any time.  A look reads each word once, and takes no longer for a
memory that is damaged.  Callers: machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu import native
from kemu.memory.struct import WORD

Range = tuple[int, int]

RAW_LOCK = (-1, 0)                  # all ones: held (native/hardware/spinlock.c)
BELL = (0, 2)


def _header_rules(memory: native.Memory) -> dict[str, Range]:
    everybody = (1 << memory.nr_cpus) - 1
    constants = {"nr_cpus": memory.nr_cpus, "nr_tasks": memory.nr_tasks, "cpus": memory.cpus,
                 "tasks": memory.tasks, "symbols": memory.symbols, "size": memory.size,
                 "possible_mask": everybody}
    return ({name: (value, value) for name, value in constants.items()}
            | dict.fromkeys(("present_mask", "online_mask", "active_mask"), (0, everybody))
            | dict.fromkeys(("task_lock", "symbol_lock", "heap_lock", "arena_lock"), RAW_LOCK)
            | {"nr_symbols": (0, native.NR_SYMBOLS), "report_len": (0, native.REPORT_SIZE)})


def _cpu_rules(memory: native.Memory, cpu: int) -> dict[str, Range]:
    owner, slot = (0, memory.nr_tasks), (0, memory.nr_tasks - 1)
    return {"id": (cpu, cpu), "curr": slot, "idle": slot, "stop": owner, "nr_running": owner,
            "rq_lock": owner, "call_lock": owner, "timer_lock": owner,
            "monitor_bell": BELL, "irqs_off": (0, 1), "idling": (0, 2)}


def _task_rules(memory: native.Memory) -> dict[str, Range]:
    cpu = (0, memory.nr_cpus - 1)
    return {"cpu": cpu, "home": cpu, "sched_class": (0, native.CLASS_STOP), "bell": BELL,
            "on_rq": (0, 1), "on_cpu": (0, 1), "pi_lock": (0, memory.nr_tasks)}


def damage(memory: native.Memory) -> str:
    """The first word that has a value that it cannot have, in words; "" if there is none."""
    return next(_damages(memory), "")


def _damages(memory: native.Memory) -> Iterator[str]:
    yield from _outside(memory, "the header", 0, native.HEADER, _header_rules(memory))
    for cpu in range(memory.nr_cpus):
        base = memory.cpus + cpu * native.CPU["sizeof"]
        yield from _outside(memory, f"CPU {cpu}", base, native.CPU, _cpu_rules(memory, cpu))
    yield from _damaged_tasks(memory)


def _outside(memory: native.Memory, what: str, base: int, layout: dict[str, int],
             rules: dict[str, Range]) -> Iterator[str]:
    for name, (least, most) in rules.items():
        value = native.Word(memory, base + layout[name]).load()
        if not least <= value <= most:
            yield _said(what, name, value, least, most)


def _damaged_tasks(memory: native.Memory) -> Iterator[str]:
    """Read the table of tasks at once, and each suspicious word once more."""
    size = native.TASK["sizeof"]
    table = memoryview(memory.read(memory.tasks, memory.nr_tasks * size)).cast("q")

    def column(name: str) -> list[int]:
        return table[native.TASK[name] // WORD::size // WORD].tolist()

    used = column("used")
    for slot, value in enumerate(used):
        if value not in (0, 1):
            yield _said(f"task slot {slot}", "used", value, 0, 1)
    for name, (least, most) in _task_rules(memory).items():
        for slot, value in enumerate(column(name)):
            if used[slot] == 1 and not least <= value <= most:
                yield _said(f"task slot {slot}", name, value, least, most)


def _said(what: str, name: str, value: int, least: int, most: int) -> str:
    expected = f"is {least}" if least == most else f"lies between {least} and {most}"
    return f"{what}: {name} is {value:#x}, and a sound {name} {expected}"
