"""The OS threads of tasks: what a thread runs from its task's first turn to its last.

    swapper/N      the idle loop; the thread is there from the start
    a task         waits for its first turn, runs its entry function, dies

An exception that leaves a kernel thread, or kemu itself, is an oops.  Each thread leaves its
task's Python stack to stacks.

Linux: kernel/sched/core.c (schedule_tail), arch/x86/kernel/smpboot.c (start_secondary).

Locks: none.  Callers: processor, which starts the threads.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from kemu import native
from kemu.errors import MachineStopped, text_of
from kemu.kernel import arch, fork
from kemu.kernel.own.system import system
from kemu.kernel.own.version import this_kernel
from kemu.kernel.panic import Kind, locks_held, panic
from kemu.kernel.sched.runqueue import idle_tasks
from kemu.kernel.sched.schedule import ThreadEnds, do_idle
from kemu.kernel.sched.state import PF_KTHREAD
from kemu.machine import stacks
from kemu.memory.views import Task


def task_main(p: Task) -> None:
    """A task's thread, from its first turn to its last."""
    stacks.begins(p)
    try:
        native.enter(system.memory, p.slot, p)
        fork.schedule_tail(native.wait_turn())
        fork.run_entry(p)
    except ThreadEnds:
        stacks.ends()
    except MachineStopped as stopped:
        stacks.unwound(stopped)
    except BaseException as error:
        _oops(p, error)


def _oops(p: Task, error: BaseException) -> None:
    """An exception left a kernel thread, or kemu itself: the machine stops.

    If the thread cannot write the report, its process exits, and the helper then reports the
    exit.  That is so when no memory is left, and in a fork that a task made, which is not a CPU.
    """
    kind = "a kernel thread" if p.flags.load() & PF_KTHREAD else "a task"
    null = ""
    if isinstance(error, AttributeError) and error.obj is None:     # Python's way to say it
        null = "Unable to handle kernel NULL pointer dereference\n"
    try:
        holds = locks_held(p)
        panic(Kind.OOPS, f"{null}Oops: {type(error).__name__} left {kind}, {p.comm}"
              f"{', with ' + holds if holds else ''}: {text_of(error)}",
              stack="".join(traceback.format_exception(error)))
    except MachineStopped:
        pass
    except BaseException:
        os._exit(1)


def swapper_main(cpu: int, is_up: Callable[[], None]) -> None:
    """swapper/N: preemption is off, as the start-up code leaves it.  Calls is_up() first."""
    idle = idle_tasks[cpu]
    stacks.begins(idle)
    try:
        native.enter(system.memory, idle.slot, idle)
        is_up()
        if cpu:                 # the boot CPU powers it on
            arch.play_dead(cpu)
            this_kernel().start_secondary(cpu)
        while True:
            do_idle()
    except MachineStopped:
        pass
    except BaseException as error:
        _oops(idle, error)
