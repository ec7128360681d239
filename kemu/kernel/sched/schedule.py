"""schedule(): give the CPU to the next task, and come back when it is our turn.

Linux: kernel/sched/core.c (__schedule, context_switch, finish_task_switch,
schedule_debug) and idle.c (do_idle).  Not modelled: address spaces.

rq.lock is taken by the task that switches away and freed by the task that comes:
hence every task is switched out with a preempt_count of 2 (its own schedule(),
and the lock), and swapper too.

Idling in place: a task that blocks when nothing else can run does not wake
swapper's thread; its own thread goes on in swapper's name (_idle_in_place).  To
everybody else swapper runs.  If the task's turn comes on this CPU, no thread
was switched; if it comes on another, swapper's own thread takes the duty over.

Locks: rq.lock.  Callers: everybody that sleeps; the preemption vector.
"""

from __future__ import annotations

from collections.abc import Callable

from kemu import native
from kemu.kernel.panic import BUG
from kemu.kernel.sched.classes import deactivate_task, pick_next_task, put_behind
from kemu.kernel.sched.runqueue import idle_tasks, machine, runqueues, this_rq
from kemu.kernel.sched.state import TASK_DEAD
from kemu.kernel.sched.timer import update_tick
from kemu.memory.views import Cpu, Task
from kemu.native import (current, preempt_count, preempt_disable, preempt_enable_no_resched,
                         smp_processor_id)
from kemu.trace import events

PREEMPT_DISABLE_OFFSET = 1
TURN_IDLE = native.TURN_IDLE
TURN_REHOME = 1 << 33       # a turn that says: end this thread, another process has the task


class ThreadEnds(BaseException):
    """Unwinds an OS thread that is no task's any more: the task died, or has a new home."""


def schedule_debug(prev: Task) -> None:
    """S12: schedule() is entered with its own preempt_count and no other."""
    count = preempt_count()
    if count != PREEMPT_DISABLE_OFFSET:
        BUG(f"BUG: scheduling while atomic: {prev.comm}/{prev.pid.load()}/{count:#010x}")


def __schedule(preempt: bool) -> None:
    """Switch to the best task.  Preemption is off, once.

    A task that is not RUNNING leaves its runqueue, unless it is being preempted:
    "preempted" is not "sleeping" (S15).
    """
    rq = runqueues[smp_processor_id()]
    prev = current()
    schedule_debug(prev)
    rq.lock.lock_irq()
    if not preempt and prev.state.load():
        deactivate_task(rq, prev)
        prev.nvcsw.inc()
    next = pick_next_task(rq)
    rq.need_resched.store(0)
    if rq.fair_nr.load() > 1 or rq.tick_at.load():
        update_tick(rq)
    if next.slot == prev.slot:
        rq.lock.unlock_irq()
        return
    if preempt:
        prev.nivcsw.inc()
    rq.nr_switches.inc()
    rq.curr.store(next.slot)
    native.trace(events.SCHED_SWITCH, next.slot,
                 prev.state.load() | (events.PREEMPTED if preempt else 0),
                 prev.prio, next.prio)
    context_switch(rq, prev, next)


def context_switch(rq: Cpu, prev: Task, next: Task) -> None:
    """Run next; returns when it is the calling thread's turn again, maybe on another CPU.

    A dead task's thread does not wait for a turn, whoever is next: the slot is
    soon another task's, and the turn would be its.
    """
    next.on_cpu.store(1)
    idle = idle_tasks[rq.cpu]
    if prev.state.load() == TASK_DEAD:
        native.switch_away(next.slot)
        raise ThreadEnds
    if next is not idle:
        finish_task_switch(native.switch_to(next.slot))
    else:
        native.stand_in(idle)
        finish_task_switch(prev.slot)
        _idle_in_place(idle)


def finish_task_switch(last: int) -> None:
    """What the task that comes does for the one that went: it is off its CPU now.

    on_cpu is cleared with release order, after everything prev did, and is the
    word a waker waits for.  rq.lock, handed over with the turn, is freed.
    """
    if last >= TURN_IDLE:
        if last == TURN_IDLE:
            return      # a stand-in resigned: it had finished, and held no lock
        native.leave()
        raise ThreadEnds
    rq = runqueues[smp_processor_id()]
    prev = machine.tasks.at(last)
    dead = prev.state.load() == TASK_DEAD
    prev.on_cpu.store_release(0)
    rq.lock.unlock_irq()
    if dead:
        _free_dead(prev)


_free_dead: Callable[[Task], None]


def on_dead_task(free: Callable[[Task], None]) -> None:
    """Who drops the scheduler's reference to a task that has died: fork."""
    global _free_dead
    _free_dead = free


def _idle_in_place(idle: Task) -> None:
    """swapper's loop on a thread that waits for its own turn; returns with it.

    On a CPU that went offline swapper itself must go on: it has duties there.
    """
    while current() is idle:
        if not machine.header.online_mask.test_bit(smp_processor_id()):
            finish_task_switch(native.resign())
            return
        why = native.idle()
        if why & native.WHY_TURN:
            finish_task_switch(native.resign())
        elif native.need_resched():
            __schedule(False)


_offline_idle: Callable[[int], None]


def on_offline_idle(run: Callable[[int], None]) -> None:
    """What swapper does when its CPU is offline: returns when it is online again."""
    global _offline_idle
    _offline_idle = run


def do_idle() -> None:
    """One round of swapper's own loop."""
    cpu = smp_processor_id()
    if not machine.header.online_mask.test_bit(cpu):
        _offline_idle(cpu)
    native.idle()
    while native.need_resched():
        __schedule(False)


def schedule() -> None:
    """Sleep, if the state says so, or let others run.  May sleep."""
    while True:
        preempt_disable()
        __schedule(False)
        preempt_enable_no_resched()
        if not native.need_resched():
            return


def preempt_schedule() -> None:
    """The vector of the hardware: preemption is on and a reschedule is due."""
    while True:
        preempt_disable()
        __schedule(True)
        preempt_enable_no_resched()
        if not native.need_resched():
            return


def cond_resched() -> bool:
    """Take interrupts, and let others run if one should.  May sleep.  Returns whether one should."""
    due = native.need_resched()
    preempt_disable()
    native.preempt_enable()     # where the hardware looks
    return due


def yield_() -> None:
    """Let equals run first (Linux: yield).  May sleep."""
    rq = this_rq()
    rq.lock.lock_irq()
    put_behind(rq, current())
    rq.lock.unlock_irq()
    schedule()
