"""A shortened schedule in a sentence: what comes between which two steps of a CPU that was stopped.

    between sleeper's load of Reactor[1].work and its store of Reactor[1].looked, CPU 0 stores
    Reactor[1].work

Of the steps in between, those matter that write a word which the stopped CPU touches in the trial.
If there is none, those that read a word which it has written.

Locks: none; looks at a record only.  Callers: draw.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu import native
from kemu.explore.alternative import preempts
from kemu.explore.record import OPS, Record

DOES = {native.OP_LOAD: "loads", native.OP_STORE: "stores", native.OP_XCHG: "exchanges",
        native.OP_CMPXCHG: "compares and exchanges", native.OP_ADD: "adds to",
        native.OP_OR: "sets bits of", native.OP_AND: "clears bits of", native.OP_LOCK: "takes",
        native.OP_UNLOCK: "frees"}
SHOWN = 3           # of the steps in between


def sentences(record: Record, shared: set[int]) -> list[str]:
    """One for each preemption that has another CPU's conflicting steps in it."""
    return [said for at, step in enumerate(record.steps)
            if step.chosen and preempts(step, step.alt) and (said := _between(record, shared, at))]


def _between(record: Record, shared: set[int], at: int) -> str:
    """What comes between the steps of the CPU that was stopped before the step ``at``."""
    cpu, steps = record.steps[at].before, [*record.steps, *record.pending]
    own = [number for number, step in enumerate(steps)
           if step.cpu == cpu and step.word in shared and step.op in DOES]
    before = [number for number in own if number < at]
    after = [number for number in own if number > at]
    if not before or not after:
        return ""
    last, following = before[-1], after[0]
    done = list(dict.fromkeys(_conflicts(record, own, last, following)))
    if not done:
        return ""
    rest = f" and does {len(done) - SHOWN} more such steps" if len(done) > SHOWN else ""
    return (f"between {_step(record, last)} and "
            f"{_step(record, following, record.tasks[last])}, {', '.join(done[:SHOWN])}{rest}")


def _conflicts(record: Record, own: list[int], last: int, following: int) -> Iterator[str]:
    """The steps in between that the CPU can notice, in words."""
    steps = [*record.steps, *record.pending]
    touched = {steps[number].word for number in own}
    written = {steps[number].word for number in own if steps[number].flags & native.STEP_WRITES}
    between = [number for number in range(last + 1, min(following, len(record.steps)))
               if steps[number].cpu != steps[last].cpu and steps[number].op in DOES]
    writes = [number for number in between if steps[number].word in touched
              and steps[number].flags & native.STEP_WRITES and steps[number].op != native.OP_UNLOCK]
    for number in writes or [number for number in between if steps[number].word in written]:
        yield f"CPU {steps[number].cpu} {DOES[steps[number].op]} {record.words[number]}"


def _step(record: Record, number: int, task: str = "") -> str:
    """A step, as the task's: "its", if the sentence has named the task."""
    steps = [*record.steps, *record.pending]
    whose = "its" if record.tasks[number] == task else f"{record.tasks[number]}'s"
    return f"{whose} {OPS[steps[number].op]} of {record.words[number]}"
