"""Waking: try_to_wake_up() and its relatives, and the first wake-up of a new task.

Linux: kernel/sched/core.c (try_to_wake_up, ttwu_remote, select_task_rq,
select_fallback_rq, wake_up_new_task).  Not modelled: the remote wake list, wake-affine
placement; a woken task goes where it last ran if it may.

The order that a waker relies on, and that a sleeper must keep:

    sleeper                         waker
      set_current_state(S)            change the condition
      test the condition              try_to_wake_up: lock pi_lock, test the state
      schedule()

The C half, wakeup.c, has try_to_wake_up(), because it is the most frequent path and no
exhibit replaces it.  Its head says what is written in which order.

Locks: pi_lock, then rq.lock.  Callers: all files of the kernel.
"""

from __future__ import annotations

from kemu import native
from kemu.kernel.cpumask import for_each_cpu
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.sched.bug import broken
from kemu.kernel.sched.runqueue import activate_task, check_preempt_curr, cpu_rq, runqueues, task_rq
from kemu.kernel.sched.state import TASK_NORMAL
from kemu.memory.views import Task
from kemu.native import smp_processor_id
from kemu.trace import events


def set_task_cpu(p: Task, cpu: int) -> None:
    """Change p's CPU.  p is WAKING, new, or on a runqueue that the caller has locked (S10).

    It does not move the host thread: the CPU that switches to p does that.
    """
    if p.cpu.load() != cpu:
        native.trace(events.SCHED_MIGRATE_TASK, p.slot, p.prio, p.cpu, cpu)
        p.cpu.store(cpu)


def usable_mask(p: Task) -> int:
    """The CPUs that p may run on: online ones for a kernel thread, otherwise active ones."""
    return native.usable_mask(p.slot)


def select_fallback_rq(cpu: int, p: Task) -> int:
    """Some CPU for a task that cannot go where it should.  Caller holds pi_lock or rq.lock.

    If no CPU of the task's mask is usable, the mask becomes all possible CPUs.  The task then
    loses a per-CPU binding, and no message says so, as in Linux 3.6 and later.
    """
    dest = native.select_fallback(p.slot)
    if dest < 0:
        broken(dest, cpu_rq(cpu), p)
    return dest


def try_to_wake_up(p: Task, state: int) -> bool:
    """Wake p if its state is in the mask.  Any context; does not sleep.

    Returns whether p was asleep, or about to sleep.
    """
    woken = native.try_to_wake_up(p.slot, state)
    if woken < 0:
        broken(woken, task_rq(p), p)
    return bool(woken)


def wake_up_process(p: Task) -> bool:
    """Wake p from an ordinary sleep (TASK_NORMAL).  Any context."""
    return try_to_wake_up(p, TASK_NORMAL)


def wake_up_state(p: Task, state: int) -> bool:
    """Wake p if it is in one of these states.  Any context."""
    return try_to_wake_up(p, state)


def idlest_cpu(p: Task) -> int:
    """The CPU with the least load for a running task; its own CPU if no other has less.

    Linux: find_idlest_cpu.
    """
    here = smp_processor_id()
    allowed = for_each_cpu(p.cpus_allowed.load() & usable_mask(p))
    # On another CPU the task would add to the load; its own CPU counts it already.
    return min([here, *allowed], key=lambda cpu: runqueues[cpu].nr_running.load() + (cpu != here))


def home_for_new(mask: int) -> int:
    """The CPU in whose process a new task of that mask had best begin: where it will run first.

    Of the idle CPUs it is the home of fewest tasks, so that tasks which are created together get
    different homes and run at once.  If no CPU is idle, it is the least loaded one.
    """
    usable = for_each_cpu(mask & system.header.online_mask.load()) or [smp_processor_id()]
    idle = [cpu for cpu in usable if not runqueues[cpu].nr_running.load()]
    return min(idle, key=lambda cpu: runqueues[cpu].homes.load()) if idle else _least_loaded(usable)


def _least_loaded(cpus: list[int]) -> int:
    """The first of equals."""
    return min(cpus, key=lambda cpu: runqueues[cpu].nr_running.load())


def _select_new(p: Task) -> int:
    """The CPU for a new task: its home if that is idle, otherwise the least loaded one that it may use."""
    allowed = for_each_cpu(p.cpus_allowed.load() & usable_mask(p))
    home: int = p.home.load()
    if not allowed:
        return select_fallback_rq(p.cpu.load(), p)
    if home in allowed and not runqueues[home].nr_running.load():
        return home
    return _least_loaded(allowed)


def wake_up_new_task(p: Task) -> None:
    """Queue a task for the first time.  Any context."""
    flags = p.pi_lock.lock_irqsave()
    if p.on_rq.load():
        BUG(f"S1: {p} is new and queued already")
    set_task_cpu(p, _select_new(p))
    rq = cpu_rq(p.cpu.load())
    rq.lock.lock()
    activate_task(rq, p)
    native.trace(events.SCHED_WAKEUP_NEW, p.slot, p.prio, rq.cpu)
    check_preempt_curr(rq, p)
    rq.lock.unlock()
    p.pi_lock.unlock_irqrestore(flags)
