"""The migration threads: one for each CPU, created as it comes up, stopped when it is dead.

Linux: kernel/sched.c (2.6.6: migration_thread, migration_call, migrate_all_tasks), with
"sched-hotplug-cpu-sched_balance_exec-fix" (2004).

    UP_PREPARE    create the thread, bind it, FIFO 99; the CPU has no other task yet
    ONLINE        wake it
    UP_CANCELED   bind it to a CPU that is online, so that it can run; then as DEAD
    DEAD          stop it; forget it; complete the requests that it has left

The order at DEAD matters.  While the thread exists, a task that locked its runqueue before
the CPU died may still add a request.  Once the thread has ended, no task can.

Locks: rq.lock.  Callers: cpu, init, races.
"""

from __future__ import annotations

from typing import cast

from kemu.kernel.cpumask import online_cpus
from kemu.kernel.kthread import kthread_should_stop, kthread_stop
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG
from kemu.kernel.printk import printk, printk_ratelimit
from kemu.kernel.sched.completion import complete
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.kernel.sched.runqueue import IDLE, cpu_rq, task_cpu
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (PF_KTHREAD, TASK_INTERRUPTIBLE, TASK_RUNNING,
                                     __set_current_state, set_current_state)
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.v2_6.kthread import bind_first, kthread_bind, kthread_create
from kemu.kernel.v2_6.migration import (REQ_MOVE_TASK, Migration, MigrationReq, __migrate_task,
                                        any_online_cpu)
from kemu.kernel.v2_6.notifier import (CPU_DEAD, CPU_ONLINE, CPU_UP_CANCELED, CPU_UP_PREPARE,
                                       NOTIFY_OK)
from kemu.memory.views import Cpu, Task
from kemu.native import current, local_irq_restore, smp_processor_id

MIGRATION_CALL_PRIORITY = 10        # before callbacks that may need the CPU's threads moved


def migration_thread(cpu: int) -> int:
    """Serve the CPU's requests, the youngest first, until stopped.  A thread's function."""
    rq, mine = cpu_rq(cpu), Migration.on(cpu)
    if mine.thread.get() != current():
        BUG(f"S81: {current()} serves cpu{cpu}, whose migration thread is {mine.thread.get()}")
    set_current_state(TASK_INTERRUPTIBLE)
    while not kthread_should_stop():
        if not _serve_one(rq, mine):
            schedule()
            set_current_state(TASK_INTERRUPTIBLE)
    __set_current_state(TASK_RUNNING)
    point("migration:exits")
    return 0


def _serve_one(rq: Cpu, mine: Migration) -> bool:
    """Serve one request.  Interrupts are off from the look at the queue to the end of the move."""
    rq.lock.lock_irq()
    node = mine.queue.first()
    if not node:
        rq.lock.unlock_irq()
        return False
    req = MigrationReq.at(system.memory, node)
    system.memory.list_del(node)
    rq.lock.unlock()
    __migrate_task(req.task.get(), req.dest_cpu.load())
    local_irq_restore(0)
    complete(req.done)
    return True


def migrate_all_tasks() -> None:
    """Give this CPU's tasks to other CPUs, also those that sleep.  All CPUs stand still.

    Kernel threads move too, whatever CPU they are bound to.
    """
    here = smp_processor_id()
    for p in system.tasks.used():
        if p == current() or task_cpu(p) != here or p.sched_class.load() == IDLE:
            continue
        dest_cpu = any_online_cpu(p.cpus_allowed.load())
        if dest_cpu < 0:
            do_set_cpus_allowed(p, system.header.possible_mask.load())
            dest_cpu = any_online_cpu(p.cpus_allowed.load())
            if not p.flags.load() & PF_KTHREAD and printk_ratelimit():
                printk(f"process {p.pid.load()} ({p.comm}) no longer affine to cpu{here}")
        __migrate_task(p, dest_cpu)


def _thread(cpu: int) -> Task:
    return cast(Task, Migration.on(cpu).thread.get())


def migration_call(action: int, cpu: int) -> int:
    """Create, wake or stop a CPU's migration thread as the CPU comes and goes.  May sleep."""
    if action == CPU_UP_PREPARE:
        if not Migration.on(cpu).queue.empty():
            BUG(f"S83: cpu{cpu} is to come up, and its migration queue is not empty")
        thread = kthread_create(migration_thread, cpu, cpu, "migration/%u")
        Migration.on(cpu).thread.set(bind_first(thread, cpu))
    elif action == CPU_ONLINE:
        wake_up_process(_thread(cpu))
    elif action == CPU_UP_CANCELED:
        kthread_bind(_thread(cpu), online_cpus()[0])
        migration_dead(cpu)
    elif action == CPU_DEAD:
        migration_dead(cpu)
    return NOTIFY_OK


def migration_dead(cpu: int) -> None:
    """The CPU is dead: stop its thread and complete its requests.  May sleep."""
    stop_migration_thread(cpu)
    drain_requests(cpu)


def stop_migration_thread(cpu: int) -> None:
    """May sleep."""
    kthread_stop(_thread(cpu))
    Migration.on(cpu).thread.set(None)
    if cpu_rq(cpu).nr_running.load():
        BUG(f"S63: dead cpu{cpu} has {cpu_rq(cpu).nr_running.load()} tasks queued")


def drain_requests(cpu: int) -> None:
    """Complete the requests that the thread has left, without the moves.  Any context."""
    rq, mine = cpu_rq(cpu), Migration.on(cpu)
    while True:
        flags = rq.lock.lock_irqsave()
        node = mine.queue.first()
        if node:
            system.memory.list_del(node)
        rq.lock.unlock_irqrestore(flags)
        if not node:
            return
        req = MigrationReq.at(system.memory, node)
        if req.type.load() != REQ_MOVE_TASK:
            BUG(f"S84: a request of type {req.type.load()} on dead cpu{cpu}")
        complete(req.done)      # outside rq.lock: a wake-up takes a pi_lock, which comes first
