"""Where the threads of a CPU process are: their Python stacks, each headed by its task.

Told when the controller asks, and when the machine stops with a hang.  A machine that stops
unwinds the threads that wait, which may come before anybody looks: so each of them leaves
behind where it was.

    _tasks, _unwound    <- by each thread, of itself; read by the main thread

Linux: kernel/sched/core.c (sched_show_task).  Not modelled: stacks of C; threads that a
task has started by itself.

Locks: none but the interpreter's.  Callers: processor.
"""

from __future__ import annotations

import _thread
import sys
from traceback import FrameSummary, extract_stack, extract_tb, format_list

from kemu.errors import MachineStopped
from kemu.memory.views import Task

# Frames between a thread and what it is for, and the ends of stacks that tell nothing.
WAY_IN = {"task_main", "swapper_main", "run_entry", "user_task", "kthread"}
AT_REST = [["do_idle"], ["do_idle", "__schedule"], ["smpboot_thread_fn", "schedule"],
           ["__kthread_parkme", "schedule"], ["watchdog", "schedule_timeout", "schedule"]]

_tasks: dict[int, Task] = {}
_unwound: dict[int, list[FrameSummary]] = {}


def begins(task: Task) -> None:
    """The calling thread is that task's."""
    thread = _thread.get_ident()
    _unwound.pop(thread, None)
    _tasks[thread] = task


def ends() -> None:
    """The calling thread is no task's any more."""
    _tasks.pop(_thread.get_ident(), None)


def unwound(error: BaseException) -> None:
    """The calling thread ends since the machine has stopped: keep where it was."""
    while isinstance(error.__context__, MachineStopped):    # it was stopped again on its way out
        error = error.__context__
    _unwound[_thread.get_ident()] = extract_tb(error.__traceback__)


def stacks(cpu: int) -> str:
    """The stack of each task of the process that is in something, and who is at rest."""
    frames = sys._current_frames()
    busy, resting = [], []
    for thread, task in list(_tasks.items()):
        stack = _unwound.get(thread) or (extract_stack(frames[thread]) if thread in frames else [])
        stack = [entry for entry in stack if entry.name not in WAY_IN]
        names = [entry.name for entry in stack]
        if not names or any(names[-len(end):] == end for end in AT_REST):
            resting.append(task.comm)
        else:
            busy.append(f"{task.comm} (pid {task.pid.load()}), on CPU {task.cpu.load()}:\n"
                        + "".join(format_list(stack)).rstrip())
    return "\n".join([*busy, f"at rest in CPU {cpu}'s process: {', '.join(sorted(resting)) or 'none'}"])
