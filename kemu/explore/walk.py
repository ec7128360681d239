"""A controlled trial from switch to switch: what the CPU that ran did, and what the state is then.

All of it is read off the record, so no machine is needed.  A step says what its word held just before
and just after, and the first step on a word says what it held when the trial began.

    tasks       the letter of each task's state, and the flags of its struct kthread by name
    locks       the spinlocks that are taken, each with the task that took it
    buffers     under tso and weak, the stores of each CPU that have not reached memory

A word that no step touches is not known, and a task whose state is not known is left out.  A lock that a
task takes and another frees, as schedule() does, stays with the first.

Linux: none; kemu's own.
Locks: none; looks at a record only.  Callers: cli/replay.
"""

from __future__ import annotations

from collections.abc import Iterator

from kemu import native
from kemu.explore.draw import did, shared_words
from kemu.explore.holds import segments
from kemu.explore.record import Record, Step
from kemu.kernel import kthread
from kemu.trace.events import state_letters

STATE, FLAGS = ".state", ".kthread.flags"
FLAG_NAMES = {kthread.KTHREAD_IS_PER_CPU: "IS_PER_CPU", kthread.KTHREAD_SHOULD_STOP: "SHOULD_STOP",
              kthread.KTHREAD_SHOULD_PARK: "SHOULD_PARK", kthread.KTHREAD_IS_PARKED: "IS_PARKED",
              kthread.KTHREAD_HAS_HOME: "HAS_HOME"}


def walk(record: Record, every_step: bool = False) -> Iterator[str]:
    """A text for each run of steps between two switches.

    every_step: all of them, and not only those that may matter (draw).
    """
    state, shared = State(record), shared_words(record.steps)
    runs = [run for run in segments(record) if run.first < len(record.steps)]
    for number, run in enumerate(runs, 1):
        lines = [f"run {number} of {len(runs)}: CPU {run.cpu}, steps {run.first} to {run.last}"]
        for at in range(run.first, min(run.last + 1, len(record.steps))):
            state.take(at)
            text = did(record.steps[at], record.lines[at], shared)
            if every_step:
                text = record.lines[at].partition(" ")[2]
            lines += [f"   {text}"] if text else []
        yield "\n".join([*lines, *state.lines(), ""])


class State:
    """What the record tells of the machine after some of its steps."""

    def __init__(self, record: Record) -> None:
        """As the trial begins."""
        self.record = record
        self.words: dict[str, int] = {}
        self.holders: dict[int, tuple[str, str]] = {}               # by lock: its name, the task
        self.buffers: dict[int, list[tuple[str, int]]] = {}         # by CPU: a word's name, the value
        for name, step in zip(record.words, record.steps, strict=False):
            if _is_of_memory(step):
                self.words.setdefault(name, step.seen)
        self.tasks: list[str] = [name.removesuffix(STATE) for name in self.words
                                 if name.endswith(STATE) and "[" not in name]

    def take(self, at: int) -> None:
        """Do the step of that number."""
        step, name = self.record.steps[at], self.record.words[at]
        buffer = self.buffers.setdefault(step.cpu, [])
        if step.op == native.OP_LOCK:
            self.holders[step.word] = name, self.record.tasks[at]
        elif step.op == native.OP_UNLOCK:
            self.holders.pop(step.word, None)
        if step.way == native.WAY_LATE:
            buffer.append((name, step.value))
        elif step.op == native.OP_DRAIN:
            buffer[:] = _without_first(buffer, name)
        if _is_of_memory(step):
            self.words[name] = step.after

    def lines(self) -> Iterator[str]:
        """The state, in words."""
        yield "tasks: " + ", ".join(self._task(task) for task in self.tasks)
        if self.holders:
            yield "locks: " + ", ".join(f"{name} ({task})" for name, task in self.holders.values())
        for cpu, buffer in sorted(self.buffers.items()):
            if buffer:
                yield f"buffer of CPU {cpu}: " + ", ".join(f"{name} = {value}" for name, value in buffer)

    def _task(self, task: str) -> str:
        state, flags = self.words[task + STATE], self.words.get(task + FLAGS, 0)
        names = [name for bit, name in FLAG_NAMES.items() if flags >> bit & 1]
        return f"{task} {state_letters(state)}" + (f" ({' '.join(names)})" if names else "")


def _is_of_memory(step: Step) -> bool:
    """Whether the step says what memory holds: not that of an older value, or of the CPU's own buffer."""
    return bool(step.flags & (native.STEP_READS | native.STEP_WRITES)) \
        and step.way not in (native.WAY_OLDER, native.WAY_OWN)


def _without_first(buffer: list[tuple[str, int]], name: str) -> list[tuple[str, int]]:
    at = next((at for at, (word, _) in enumerate(buffer) if word == name), len(buffer))
    return buffer[:at] + buffer[at + 1:]
