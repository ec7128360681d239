"""A controlled trial drawn as the commit messages draw it: a column per CPU, time downward.

Only what may matter is drawn: the points, the end, and the steps on words that more than
one CPU touched, at least one of them to write.  Last comes a sentence for each preemption (sentence).

Locks: none; looks at a record only.  Callers: run, replay, walk.
"""

from __future__ import annotations

from kemu import native
from kemu.explore.record import OPS, READS, Record, Step
from kemu.explore.sentence import sentences

WIDTH = 34
SHOWN = 60          # lines at most: the last ones


def drawing(record: Record, outcome: str) -> str:
    """The trial, in columns; then what came of it."""
    shared = shared_words(record.steps)
    rows = [(step.cpu, text) for step, line in zip(record.steps, record.lines, strict=True)
            if (text := did(step, line, shared))]
    cpus = sorted({cpu for cpu, _ in rows})
    left_out = len(rows) - SHOWN
    lines = ["".join(f"CPU{cpu}".ljust(WIDTH) for cpu in cpus).rstrip()]
    if left_out > 0:
        lines.append(f"({left_out} lines are left out)")
    previous = None
    for cpu, text in rows[-SHOWN:]:
        mark = "-> " if previous not in (None, cpu) else "   "
        lines.append(" " * WIDTH * cpus.index(cpu) + mark + text)
        previous = cpu
    said = sentences(record, shared)
    return "\n".join([*lines, "", *outcome.splitlines(), *([""] if said else []), *said])


def shared_words(steps: list[Step]) -> set[int]:
    """Words that more than one CPU touched, and one wrote."""
    touched: dict[int, set[int]] = {}
    written = set()
    for step in steps:
        touched.setdefault(step.word, set()).add(step.cpu)
        if step.op not in READS:
            written.add(step.word)
    return {word for word, cpus in touched.items() if len(cpus) > 1 and word in written}


def did(step: Step, line: str, shared: set[int]) -> str:
    """What the step did, without its CPU; "" if it is not to be drawn."""
    task, _, rest = line.partition(" ")[2].partition(": ")
    if step.op in (native.OP_POINT, native.OP_START):
        return f"{task}: {rest.partition(' ')[2]}"
    if step.word not in shared or step.op in (native.OP_UNLOCK, native.OP_PICK):
        return ""
    if step.op == native.OP_DRAIN:
        word, _, value = rest.removeprefix(f"{OPS[step.op]} ").rpartition(" ")
        return f"{task}: the store of {word.partition(' ')[0]} reaches memory: {value}"
    assert rest.startswith(OPS[step.op])
    return f"{task}: {rest}"
