"""Where the threads of a CPU process are: their Python stacks, each headed by its task.

The main thread sends them when the controller asks, and when the machine stops with a hang.
A machine that stops unwinds the threads that wait, and this may happen before the main thread
looks.  So each of them leaves behind the exception, which holds its stack.

    _tasks, _unwound    <- by each thread, of itself; read by the main thread

A thread does not give up the interpreter's lock between a raise and its handler.  So the main
thread finds it in the function that it was in, in a handler of MachineStopped, or in _unwound.

Linux: kernel/sched/core.c (sched_show_task).  Not modelled: stacks of C; threads that a
task has started by itself.

Locks: none but the interpreter's.  Callers: processor.
"""

from __future__ import annotations

import _thread
import sys
from dataclasses import dataclass
from traceback import FrameSummary, extract_stack, extract_tb, format_list

from kemu.errors import MachineStopped
from kemu.memory.views import Task

# Frames between a thread's start and its task's function, and the ends of stacks at rest.
WAY_IN = {"task_main", "swapper_main", "run_entry", "user_task", "kthread"}
AT_REST = [["do_idle"], ["do_idle", "__schedule"], ["smpboot_thread_fn", "schedule"],
           ["__kthread_parkme", "schedule"], ["watchdog", "schedule_timeout", "schedule"]]

_tasks: dict[int, Task] = {}
_unwound: dict[int, MachineStopped] = {}


def begins(task: Task) -> None:
    """The calling thread is that task's."""
    thread = _thread.get_ident()
    _unwound.pop(thread, None)
    _tasks[thread] = task


def ends() -> None:
    """The calling thread's task has ended."""
    _tasks.pop(_thread.get_ident(), None)


def unwound(error: MachineStopped) -> None:
    """The calling thread ends because the machine has stopped."""
    _unwound[_thread.get_ident()] = error


def _all_stacks() -> dict[int, list[FrameSummary]]:
    """The frames of each thread, with the innermost frame last."""
    found: dict[int, list[FrameSummary]] = {
        thread: extract_stack(frame) for thread, frame in sys._current_frames().items()}
    for thread, handled in _handled().items():
        if isinstance(handled, MachineStopped):
            found[thread] = _where(handled)
    return found | {thread: _where(error) for thread, error in list(_unwound.items())}


def _handled() -> dict[int, BaseException | None]:
    """By thread, the exception that it handles.  Python 3.11 gives its type and traceback too."""
    if sys.version_info >= (3, 12):
        return sys._current_exceptions()
    return {thread: handled for thread, (_, handled, _) in sys._current_exceptions().items()}


def _where(error: BaseException) -> list[FrameSummary]:
    while isinstance(error.__context__, MachineStopped):    # it was stopped again on its way out
        error = error.__context__
    return extract_tb(error.__traceback__)


@dataclass(frozen=True)
class TaskStack:
    """Where a task is: the frames, innermost last, as (file, line, function, source)."""

    comm: str
    pid: int
    cpu: int
    frames: list[tuple[str, int, str, str]]


@dataclass(frozen=True)
class CpuStacks:
    """What the process of one CPU answers: the tasks that are in something, and those at rest."""

    cpu: int
    busy: list[TaskStack]
    resting: list[str]

    def __str__(self) -> str:
        busy = [f"{task.comm} (pid {task.pid}), on CPU {task.cpu}:\n"
                + "".join(format_list(task.frames)).rstrip() for task in self.busy]
        resting = ", ".join(sorted(self.resting)) or "none"
        return "\n".join([*busy, f"at rest in CPU {self.cpu}'s process: {resting}"])


def stacks(cpu: int) -> CpuStacks:
    """The stack of each task of the process that does not rest, and the names of those that rest."""
    found = _all_stacks()
    answer = CpuStacks(cpu, [], [])
    for thread, task in list(_tasks.items()):
        stack = [entry for entry in found.get(thread, []) if entry.name not in WAY_IN]
        names = [entry.name for entry in stack]
        if not names or any(names[-len(end):] == end for end in AT_REST):
            answer.resting.append(task.comm)
        else:
            frames = [(entry.filename, entry.lineno or 0, entry.name, entry.line or "") for entry in stack]
            answer.busy.append(TaskStack(task.comm, task.pid.load(), task.cpu.load(), frames))
    return answer
