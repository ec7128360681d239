"""Which task waits for which, in words, found in the memory of a machine that stands still.

    task.waits_on       the word that names the owner of a lock
    task.blocked_on     a completion, whose word ``completer`` may name a task
    task.waits_for      a task

The first one that a task has is its edge.  A task may have none: it sleeps in a wait queue, and any
task may wake it.

The edges are true of one moment only if no task runs.  stillness.py makes sure of that first.

Linux: kernel/locking/lockdep.c prints such chains; kernel/hung_task.c prints the tasks alone.

Locks: none.  Callers: stillness, report.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import kemu
from kemu import native
from kemu.kernel.kthread import KThread
from kemu.kernel.sched.completion import Completion
from kemu.kernel.sched.runqueue import IDLE
from kemu.machine.stacks import CpuStacks, TaskStack
from kemu.memory.names import percpu_name
from kemu.memory.views import Task, tasks_of
from kemu.trace.events import state_name

PACKAGE = os.path.dirname(kemu.__file__)
OWN = tuple(os.path.join(PACKAGE, room, "") for room in ("kernel", "machine", "memory", "native"))
WAITS = tuple(os.path.join(PACKAGE, "kernel", room, "") for room in ("sched", "locking", "own"))


@dataclass(frozen=True)
class Wait:
    """What a task waits for, in words ("" if that is not known), and the task that can end the wait."""

    what: str
    whom: Task | None = None


def wait_of(memory: native.Memory, task: Task) -> Wait:
    """The edge of a task that sleeps."""
    tasks, word, done = tasks_of(memory), task.waits_on.load(), task.blocked_on.load()
    if word:
        owner = tasks.get(abs(native.Word(memory, word).load()))
        lock = percpu_name(memory, word).rpartition(".")[0] or f"the lock at {word:#x}"
        holds = f", which {owner.comm} holds" if owner is not None else ", which no task holds"
        return Wait(f"{lock}{holds}", owner)
    whom = tasks.get(task.waits_for.load())
    if done:
        return _completion_wait(memory, done, whom or completer_of(memory, done))
    if whom is not None:
        return Wait(f"{whom.comm}", whom)
    return Wait("")


def completer_of(memory: native.Memory, offset: int) -> Task | None:
    """The task that is to complete it, if the completion names one that still is there."""
    ref = native.Word(memory, offset + native.COMPLETION["completer"]).load()
    task = tasks_of(memory).get(ref)
    return task if task is not None and task.used.load() else None


def completion_name(memory: native.Memory, offset: int) -> str:
    """A completion by its name: of a kernel thread, of a per-CPU variable, or by its place."""
    task = completer_of(memory, offset)
    base = task.kthread.load() if task is not None else 0
    for name in ("parked", "exited"):
        if task is not None and base and offset == base + KThread.fields[name][0]:
            return f"{name} of {task.comm}"
    return percpu_name(memory, offset, Completion) or f"the completion at {offset:#x}"


def _completion_wait(memory: native.Memory, offset: int, whom: Task | None) -> Wait:
    name = completion_name(memory, offset)
    if whom is None:
        return Wait(f"{name}; kemu does not know which task is to complete it")
    if name.endswith(f" of {whom.comm}"):
        return Wait(f"{name}", whom)
    return Wait(f"{name}, which {whom.comm} is to complete", whom)


class Chains:
    """The chains of waits of a machine that stands still.  Each task comes once."""

    def __init__(self, memory: native.Memory, answers: list[CpuStacks]) -> None:
        self._memory = memory
        self._stacks = {task.pid: task for answer in answers for task in answer.busy}
        self._described: set[int] = set()

    def text(self, first: str) -> str:
        """A chain from each task that was started from outside, the task of that name first."""
        tasks = [task for task in tasks_of(self._memory).used() if task.sched_class.load() != IDLE]
        started = [task for task in tasks if not task.kthread.load()]
        started.sort(key=lambda task: task.comm != first)
        waiting = [task for task in tasks if task.kthread.load() and
                   (task.blocked_on.load() or task.waits_on.load() or task.waits_for.load())]
        return "\n\n".join(self._chain(task) for task in [*started, *waiting]
                           if task.slot not in self._described)

    def _chain(self, task: Task) -> str:
        lines: list[str] = []
        way: set[int] = set()
        following: Task | None = task
        while following is not None:
            if following.slot in way:
                return "\n".join([*lines, f"so {following.comm} waits for itself: the chain is a circle"])
            if following.slot in self._described:
                return "\n".join([*lines, f"{following.comm} is described above"])
            way.add(following.slot)
            self._described.add(following.slot)
            wait = wait_of(self._memory, following)
            where = f"(pid {following.pid.load()}, CPU {following.cpu.load()})"
            how = (f"waits for {wait.what}" if wait.what else
                   f"sleeps in state {state_name(following.state.load())}, and any task may wake it")
            lines += [f"{following.comm} {where} {how}", *self._place(following)]
            following = wait.whom
        return "\n".join(lines)

    def _place(self, task: Task) -> list[str]:
        """The line that the task stands in: the innermost one that is not of kemu's kernel."""
        stack = self._stacks.get(task.pid.load())
        if stack is None:
            return []
        file, line, function, source = _own_frame(stack)
        return [f'    File "{file}", line {line}, in {function}', f"      {source}"]


def _own_frame(stack: TaskStack) -> tuple[str, int, str, str]:
    """The innermost frame of the user's; of a task that has none, the one that called the wait."""
    inward = stack.frames[::-1]
    theirs = [frame for frame in inward if not frame[0].startswith(OWN)]
    callers = [frame for frame in inward if not frame[0].startswith(WAITS)]
    return next(iter(theirs or callers or inward))
