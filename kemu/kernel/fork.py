"""Tasks begin here and end here.

Linux: kernel/fork.c (copy_process, put_task_struct), kernel/exit.c (do_exit).
Not modelled: kthreadd (the creator itself makes the task); parents and children.

A task is a slot of shared memory and, in the process of its home CPU, an OS thread.  The
task may be given its first turn before the thread exists; the thread then finds the turn
waiting.  A thread cannot change its process.  A task that has not run its function yet can
be given a new home, and a new thread there (rehome()).  So can a task that begins its
function again (start_over()).

    home.homes     <- how many tasks live there: by each CPU that makes, frees or moves one
    home.births    <- a stack of slots: any CPU pushes (cmpxchg); the main thread of the home
                      process takes the whole stack, and starts the threads
    PF_REBORN      <- set by the task before its old thread ends; cleared by its new thread.
                      wait_task_inactive() takes a task with it for a queued one
    task.usage     <- references: 1 for the scheduler, until the task is dead and off its
                      CPU, and 1 for each get_task_struct()

Locks: none of its own.  Callers: kthread, smpboot, v2_6, machine, races.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from kemu.errors import UsageError
from kemu.kernel.own import wiring
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.sched.runqueue import DEFAULT_PRIO, FAIR, runqueues
from kemu.kernel.sched.schedule import __schedule, finish_task_switch
from kemu.kernel.sched.state import (PF_EXITING, PF_REBORN, PF_REHOMED, TASK_DEAD,
                                     TASK_UNINTERRUPTIBLE, set_special_state)
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.memory import functions
from kemu.memory.views import Task
from kemu.native import TURN_REHOME, current, preempt_disable, preempt_enable, smp_processor_id

FORK_PREEMPT_COUNT = 2      # as of each task that is switched out: 1 for schedule(), 1 for rq.lock


def copy_process(entry: Callable[[Task], None], argument: int, comm: str, *, home: int,
                 allowed: int, flags: int = 0) -> Task:
    """Make a new task.  It is not queued yet: wake_up_new_task() starts it.  Any context; does not sleep.

    The task runs entry(task) in the process of the CPU ``home``.  allowed is its mask.  Raises
    OutOfMemory if no slot is free.
    """
    published = functions.publish(entry)
    p = system.tasks.at(system.memory.task_alloc())
    p.pid.store(system.header.next_pid.add(1) - 1)
    p.set_comm(comm)
    _live_at(p, home)
    p.cpu.store(home)
    p.fn.store(published)
    p.arg.store(argument)
    p.flags.store(flags)
    p.cpus_allowed.store(allowed)
    p.sched_class.store(FAIR)
    p.prio.store(DEFAULT_PRIO)
    p.preempt_count.store(FORK_PREEMPT_COUNT)
    _bear(p, home)
    return p


def _live_at(p: Task, home: int) -> None:
    """Make that CPU the home of p, which has none."""
    p.home.store(home)
    runqueues[home].homes.add(1)


def _move_to(p: Task, home: int) -> None:
    """Make that CPU the home of p, and no longer the one that was."""
    runqueues[p.home.load()].homes.add(-1)
    _live_at(p, home)


def _bear(p: Task, home: int) -> None:
    """Have the home process start a thread for p."""
    births = runqueues[home].births
    head = births.load()
    while True:
        p.birth_next.store(head)
        seen = births.cmpxchg(head, p.ref)
        if seen == head:
            break
        head = seen
    system.memory.notify_monitor(home)


def rehome(p: Task, home: int) -> None:
    """Give p a thread in another process.  p is inactive and has not run its function.

    The old thread's next turn ends that thread (schedule.ThreadEnds).  The new thread enters the
    task's entry function again, which sees PF_REHOMED.  May spin.
    """
    _move_to(p, home)
    p.flags.fetch_or(PF_REHOMED)
    p.turn.store_release(TURN_REHOME)
    system.memory.notify_task(p.slot)
    p.turn.wait_while(TURN_REHOME)
    p.tid.store(0)      # the old thread has taken its turn, and does not touch p any more
    _bear(p, home)


def schedule_tail(last: int) -> None:
    """Finish the switch to a new task.  The task calls this before anything else."""
    finish_task_switch(last)
    preempt_enable()


def run_entry(p: Task) -> None:
    """Run the task's entry function.  Runs in the task's own thread; only do_exit() follows."""
    if p.flags.load() & PF_REBORN:
        p.flags.fetch_and(~PF_REBORN)       # from here on its state is again what it says
    functions.load(p.fn.load())(p)


def get_task_struct(p: Task) -> None:
    """Keep the task's slot until put_task_struct().  Any context."""
    p.usage.add(1)


def try_get_task_struct(p: Task) -> bool:
    """get_task_struct() for a handle that may be old.  False if the task has been freed.

    Raises UsageError if another task has the slot by now.  Any context.
    """
    if not isinstance(p, Task):
        raise UsageError(f"a task is wanted, not {type(p).__name__}")
    got = p.usage.inc_not_zero()
    if p.generation.load() == p.birth:
        return bool(got)
    if got:
        put_task_struct(system.tasks.at(p.slot))
    raise UsageError("the task is gone, and its slot is another's: keep a reference "
                     "(get_task_struct) for as long as you use the handle")


def put_task_struct(p: Task) -> None:
    """Drop a reference; the last one frees the task.  Pairs with get_task_struct().  Any context."""
    left = p.usage.add(-1)
    if left < 0:
        BUG(f"{p}: more references dropped than taken")
    if not left:
        wiring.freed_task(p)
        runqueues[p.home.load()].homes.add(-1)
        system.memory.task_free(p.slot)


@wiring.dead_task.bind
def finish_dead_task(p: Task) -> None:
    """Free p, or begin p again: its thread has left its last switch.  Any context."""
    if p.flags.load() & PF_REBORN:
        _begin_again(p)
    else:
        put_task_struct(p)


def do_exit() -> NoReturn:
    """End the current task.  Its thread's last switch does not come back.

    Preemption is off before the state becomes TASK_DEAD.  Otherwise, if the task were preempted in
    between, the next task would free it while it is still queued.  Linux: do_task_dead.
    """
    me = current()
    me.flags.fetch_or(PF_EXITING)
    preempt_disable()
    set_special_state(TASK_DEAD)
    __schedule()
    BUG(f"{me} is dead and was run again")


def start_over(argument: int, comm: str) -> NoReturn:
    """Enter the task's entry function again, with another argument, in a new thread.

    exec calls it, and so does a kthread that first runs away from its home.  The thread ends as in
    do_exit().  The task begins again in the process of the CPU that it is on by then, and
    finish_dead_task() wakes it there.  Caller holds no lock.  Does not return.
    """
    me = current()
    me.arg.store(argument)
    me.set_comm(comm)
    me.flags.fetch_or(PF_REBORN)
    preempt_disable()
    set_special_state(TASK_DEAD)
    __schedule()
    BUG(f"{me} was born again and its old thread was run")


def settle() -> None:
    """Make its present CPU the home of the current task, before it runs its function.  May sleep.

    All threads of a process share one interpreter, and only one of them runs Python code at a time,
    on whatever CPUs they are.  So a task should run in its CPU's own process.  If the CPU is not the
    task's home yet, the thread sets PF_REHOMED, so that its successor does not report again, and
    ends.  finish_dead_task() then pushes the task to the CPU's births and wakes the task.  Requests
    to the task meanwhile are in its flags, which the new thread reads.  Caller holds no lock.
    """
    me = current()
    if me.home.load() != smp_processor_id():
        me.flags.fetch_or(PF_REHOMED)
        start_over(me.arg.load(), me.comm)


def _begin_again(p: Task) -> None:
    """Give p a new thread.  p is off its CPU, and its old thread does not touch it any more.

    PF_REBORN stays until the new thread runs: for wait_task_inactive() p is active all along.
    """
    p.preempt_count.store(FORK_PREEMPT_COUNT)
    _move_to(p, p.cpu.load())
    p.tid.store(0)
    p.state.store(TASK_UNINTERRUPTIBLE)
    _bear(p, p.home.load())
    wake_up_process(p)      # p goes to the CPU where it was, or to another if that CPU is offline
