"""cpu_up and cpu_down of 2004: one lock, a chain of notifiers, a stopped machine.

Linux: kernel/cpu.c (2.6.6).  Later fixes in it: CPU_UP_CANCELED goes only to the notifiers
that accepted CPU_UP_PREPARE (notifier).  Not modelled: /sbin/hotplug.

    up      UP_PREPARE; power on; ONLINE; if a notifier objects: UP_CANCELED
    down    leave the CPU; stop the machine and on that CPU: offline, move its tasks;
            wait until it idles, and is dead; DEAD

2.6.6 had one mask of CPUs.  Here it is two words, because the scheduler asks whether a CPU
is online, or whether it is active.  They differ only between power-on and CPU_ONLINE.

    online_mask   |= by the CPU, as it starts; &= by it, while all others stand still
    active_mask   |= by the hotplug task, after that; &= by the CPU, before online

Locks: the hotplug lock (cpucontrol); inside it stopmachine_mutex.
Callers: init, races; users, from any online CPU.
"""

from __future__ import annotations

from errno import EBUSY, EINVAL
from typing import cast

from kemu.kernel.arch import __cpu_die, __cpu_up, play_dead
from kemu.kernel.cpumask import cpu_online, is_cpu, online_cpus
from kemu.kernel.kthread import kthread_stop
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.own.version import only_in
from kemu.kernel.panic import BUG
from kemu.kernel.printk import printk
from kemu.kernel.sched.runqueue import IDLE, idle_cpu, runqueues, task_cpu
from kemu.kernel.sched.schedule import yield_
from kemu.kernel.v2_6.cpucontrol import cpu_hotplug_locked
from kemu.kernel.v2_6.kthread import kthread_bind
from kemu.kernel.v2_6.migration import set_cpus_allowed
from kemu.kernel.v2_6.migration_call import migrate_all_tasks
from kemu.kernel.v2_6.notifier import (CPU_DEAD, CPU_ONLINE, CPU_UP_CANCELED, CPU_UP_PREPARE,
                                       NOTIFY_BAD, Notifier, notifier_call_chain,
                                       notifier_chain_register, notifier_chain_unregister)
from kemu.kernel.v2_6.stop_machine import __stop_machine_run
from kemu.memory.views import Task
from kemu.native import current, local_irq_restore, smp_processor_id


def register_cpu_notifier(call: Notifier, priority: int = 0) -> None:
    """Have call(action, cpu) called when a CPU comes or goes; higher priorities first.  May sleep.

    Raises UsageError if call is already registered.
    """
    only_in("2.6.6", "kemu.kernel.hotplug.cpuhp_setup.cpuhp_setup_state")
    with cpu_hotplug_locked():
        notifier_chain_register(call, priority)


def unregister_cpu_notifier(call: Notifier) -> None:
    """Pairs with register_cpu_notifier().  May sleep.  Raises UsageError if it is not registered."""
    with cpu_hotplug_locked():
        notifier_chain_unregister(call)


def start_secondary(cpu: int) -> None:
    """Take a CPU from power-on to its idle loop.  Runs in its idle task, with interrupts off."""
    if runqueues[cpu].nr_running.load():
        BUG(f"S63: cpu{cpu} comes up with {runqueues[cpu].nr_running.load()} tasks queued")
    system.header.online_mask.set_bit(cpu)
    local_irq_restore(0)


def idle_dead(cpu: int) -> None:
    """The idle loop found its CPU offline (Linux: cpu_idle)."""
    play_dead(cpu)
    start_secondary(cpu)


def cpu_up(cpu: int) -> int:
    """Bring a CPU up.  May sleep.

    Returns 0.  Returns -EINVAL if the CPU does not exist, if it is online, or if a notifier
    objected; in the last case the notifiers that had accepted CPU_UP_PREPARE get CPU_UP_CANCELED.
    """
    only_in("2.6.6", "kemu.kernel.hotplug.cpu")
    if not is_cpu(cpu):
        return -EINVAL
    with cpu_hotplug_locked():
        return -EINVAL if cpu_online(cpu) else _cpu_up(cpu)


def _cpu_up(cpu: int) -> int:
    ret, called = notifier_call_chain(CPU_UP_PREPARE, cpu)
    if ret == NOTIFY_BAD:
        printk(f"cpu_up: attempt to bring up CPU {cpu} failed")
        notifier_call_chain(CPU_UP_CANCELED, cpu, called - 1)
        return -EINVAL
    __cpu_up(cpu)
    if not cpu_online(cpu):
        BUG(f"cpu{cpu} was brought up and is not online")
    system.header.active_mask.set_bit(cpu)     # before a task that waits for online looks
    notifier_call_chain(CPU_ONLINE, cpu)
    return 0


def take_cpu_down(cpu: int) -> int:
    """Take the CPU offline.  Runs on that CPU, in kstopmachine, while all others stand still."""
    system.header.active_mask.clear_bit(cpu)
    system.header.online_mask.clear_bit(cpu)
    migrate_all_tasks()
    return 0


def cpu_down(cpu: int) -> int:
    """Take a CPU down.  May sleep.

    Returns 0; -EBUSY for the last online CPU; -EINVAL for a CPU that does not exist or is offline;
    -ENOMEM if no task slots are left for the threads that stop the machine.  A task that takes its
    own CPU down continues on another CPU.
    """
    only_in("2.6.6", "kemu.kernel.hotplug.cpu")
    if not is_cpu(cpu):
        return -EINVAL
    with cpu_hotplug_locked():
        if not cpu_online(cpu):
            return -EINVAL
        if online_cpus() == [cpu]:
            return -EBUSY
        return _cpu_down(cpu)


def _cpu_down(cpu: int) -> int:
    """Leave the CPU, then stop the machine.  Restores the caller's mask at the end."""
    me = current()
    old_allowed = me.cpus_allowed.load()
    set_cpus_allowed(me, system.header.possible_mask.load() & ~(1 << cpu))
    p, err = __stop_machine_run(take_cpu_down, cpu, cpu)
    if not err:
        _bury(cpu, cast(Task, p))
    if p is not None:
        kthread_stop(p)
    set_cpus_allowed(me, old_allowed)       # refused if that was the dead CPU alone
    return err


def _bury(cpu: int, p: Task) -> None:
    """Finish cpu_down().  The CPU is offline; p, which took it offline, sleeps or soon will.  May sleep."""
    while not idle_cpu(cpu):        # p leaves it to its idle task
        yield_()
        runqueues[cpu].curr.relax_while(p.slot)
    __cpu_die(cpu)
    point("cpu_down:dead")
    kthread_bind(p, smp_processor_id())     # p must run once more, to stop
    if notifier_call_chain(CPU_DEAD, cpu)[0] == NOTIFY_BAD:
        BUG(f"a notifier objects to cpu{cpu} being dead")
    check_for_tasks(cpu)


def check_for_tasks(cpu: int) -> None:
    """S64: no task that is about to run may hold the dead CPU."""
    for p in system.tasks.used():
        if task_cpu(p) == cpu and p.on_rq.load() and p.sched_class.load() != IDLE:
            BUG(f"S64: {p} is left on dead cpu{cpu}")
