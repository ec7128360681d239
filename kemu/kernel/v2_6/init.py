"""The boot of 2.6.6, as a list of calls.

Linux: init/main.c (2.6.6: smp_init, do_pre_smp_initcalls).

Runs as the first task of CPU 0, when every CPU's process exists and plays dead.
"""

from __future__ import annotations

from kemu.errors import MachineError, UsageError
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.own.version import Kernel
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.sched.timer import timers_dead_cpu
from kemu.kernel.v2_6.audit import audit_hotplug
from kemu.kernel.v2_6.cpu import cpu_down, cpu_up, idle_dead, register_cpu_notifier, start_secondary
from kemu.kernel.v2_6.migration import sched_balance_exec, sched_migrate_task
from kemu.kernel.v2_6.migration_call import MIGRATION_CALL_PRIORITY, migration_call
from kemu.kernel.v2_6.notifier import CPU_DEAD, CPU_ONLINE, CPU_UP_PREPARE, NOTIFY_OK, Notifier
from kemu.kernel.v2_6.softirq import softirq_call
from kemu.kernel.v2_6.workqueue import init_workqueues


def timer_call(action: int, cpu: int) -> int:
    """Take over a dead CPU's timers (Linux: timer_cpu_notify)."""
    if action == CPU_DEAD:
        timers_dead_cpu(cpu)
    return NOTIFY_OK


def _begin(call: Notifier, priority: int = 0) -> None:
    """Call a subsystem's notifier for the boot CPU, then register it."""
    call(CPU_UP_PREPARE, 0)
    call(CPU_ONLINE, 0)
    register_cpu_notifier(call, priority)


def start_kernel(watchdog: float = 0, hung_task: float = 0) -> None:
    """Bring the machine up.  May sleep.  Raises MachineError if a CPU does not come up."""
    if watchdog:
        raise UsageError("watchdog= was given, and 2.6.6 has no watchdog threads: use kernel='4.13'")
    _begin(migration_call, MIGRATION_CALL_PRIORITY)     # migration/0
    _begin(softirq_call)                                # ksoftirqd/0
    _begin(timer_call)
    for cpu in range(1, len(runqueues)):
        if cpu_up(cpu):
            raise MachineError(f"CPU {cpu} did not come up")
    init_workqueues()                                   # keventd
    wait_until_quiet()


KERNEL = Kernel("2.6.6", start_kernel, start_secondary, idle_dead, sched_migrate_task,
                sched_balance_exec, cpu_up, cpu_down, audit_hotplug)
