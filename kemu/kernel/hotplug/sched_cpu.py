"""The scheduler's part of CPU hotplug, and migration by the stopper.

Linux: kernel/sched/core.c (sched_cpu_activate, sched_cpu_deactivate, migrate_tasks,
migration_cpu_stop, sched_exec), kernel/rcu (synchronize_sched_expedited).

    active_mask   <- the CPU's bit: set last on the way up, cleared first on the way down

After the bit is cleared, every CPU must reach a moment with preemption on before the CPU
may die.  By then each task that read the mask with preemption off has finished with it.

Locks: pi_lock, rq.lock.  Callers: cpu, init, races.
"""

from __future__ import annotations

from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.cpumask import cpu_online, online_cpus
from kemu.kernel.own.system import system
from kemu.kernel.own.point import point
from kemu.kernel.panic import BUG
from kemu.kernel.sched.migration import move_queued_task
from kemu.kernel.sched.runqueue import cpu_rq, pick_next_task, task_cpu, task_rq, this_rq
from kemu.kernel.sched.wakeup import idlest_cpu, select_fallback_rq, usable_mask
from kemu.memory.views import Cpu, Task
from kemu.native import current, smp_processor_id


def _nothing(arg: int) -> int:
    return 0


def synchronize_sched() -> None:
    """Wait until every section with preemption off that runs now has ended.  May sleep.

    A stopper runs only when preemption is on.  So when it has run on a CPU, the CPU has left the
    section that it was in (Linux: synchronize_sched_expedited).
    """
    for cpu in online_cpus():
        if cpu != smp_processor_id():
            stop_one_cpu(cpu, _nothing)


def sched_cpu_activate(cpu: int) -> int:
    """The last step up: user tasks may come.  Runs on the CPU's own thread."""
    system.header.active_mask.set_bit(cpu)
    return 0


def sched_cpu_deactivate(cpu: int) -> int:
    """The first step down: no new user tasks.  Runs on the CPU's own thread.  May sleep."""
    system.header.active_mask.clear_bit(cpu)
    point("deactivate:inactive")
    synchronize_sched()
    return 0


def sched_cpu_starting(cpu: int) -> int:
    """Check that the runqueue is as its CPU left it.  Runs on the upcoming CPU, with interrupts off."""
    rq = cpu_rq(cpu)
    if rq.nr_running.load():
        BUG(f"S63: cpu{cpu} comes up with {rq.nr_running.load()} tasks queued")
    return 0


def sched_cpu_dying(cpu: int) -> int:
    """Push every queued task away.  Runs on the dying CPU's stopper, all CPUs stopped."""
    rq = cpu_rq(cpu)
    migrate_tasks(rq)
    if rq.nr_running.load() != 1:
        BUG(f"S63: the dying cpu{cpu} keeps {rq.nr_running.load()} tasks, not its stopper alone")
    return 0


def migrate_tasks(dead_rq: Cpu) -> None:
    """Push off all but the stopper, by way of pick_next_task.  Interrupts are off.

    migrate_tasks() hides rq.stop meanwhile, so that the CPU does not pick the stopper.  It leaves
    sleepers alone: a sleeper keeps its old CPU, and its next wake-up places it.
    """
    stop = dead_rq.stop.load()
    dead_rq.stop.store(0)
    while dead_rq.nr_running.load() > 1:
        dead_rq.lock.lock()
        p = pick_next_task(dead_rq)
        dead_rq.lock.unlock()
        p.pi_lock.lock()
        dead_rq.lock.lock()
        if task_rq(p) is dead_rq and p.on_rq.load():
            move_queued_task(dead_rq, p, select_fallback_rq(dead_rq.cpu, p))
        else:
            dead_rq.lock.unlock()
        p.pi_lock.unlock()
    dead_rq.stop.store(stop)


def migration_cpu_stop(arg: tuple[Task, int]) -> int:
    """Move a task off this CPU, if it still is queued here and may go there.  Runs on the stopper."""
    p, dest = arg
    flags = p.pi_lock.lock_irqsave()
    rq = this_rq()
    rq.lock.lock()
    may = cpu_online(dest) and p.cpus_allowed.load() & usable_mask(p) & 1 << dest
    if task_rq(p) is rq and p.on_rq.load() and may:
        move_queued_task(rq, p, dest)
    else:
        rq.lock.unlock()
    p.pi_lock.unlock_irqrestore(flags)
    return 0


def migrate_running(p: Task, dest: int) -> None:
    """Have p's CPU move p.  May sleep.  Does nothing if that CPU's stopper is not enabled."""
    stop_one_cpu(task_cpu(p), migration_cpu_stop, (p, dest))


def sched_exec() -> None:
    """Move the current task, which is about to exec, to a CPU that has less to do.

    It does not take the hotplug lock, so a CPU that goes down may prevent the move.  May sleep.
    """
    me = current()
    flags = me.pi_lock.lock_irqsave()
    dest = idlest_cpu(me)
    me.pi_lock.unlock_irqrestore(flags)
    point("exec:chosen")
    if dest != smp_processor_id():
        migrate_running(me, dest)
