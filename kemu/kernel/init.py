"""The boot of a machine, as a list of calls.

Linux: init/main.c (start_kernel, kernel_init), kernel/smp.c (smp_init).

Runs as the first task of CPU 0, when every CPU's process exists and plays dead.
"""

from __future__ import annotations

from kemu.errors import MachineError
from kemu.kernel.cpu_stop import cpu_stop_init
from kemu.kernel.hotplug.audit import audit_hotplug
from kemu.kernel.hotplug.cpu import (arch_cpu_idle_dead, boot_cpu_init, cpu_down, cpu_up,
                                     start_secondary)
from kemu.kernel.hotplug.cpuhp_thread import cpuhp_threads_init
from kemu.kernel.hotplug.sched_cpu import migrate_running, sched_exec
from kemu.kernel.hung_task import hung_task_init
from kemu.kernel.own.quiesce import wait_until_quiet
from kemu.kernel.own.version import Kernel
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.softirq import spawn_ksoftirqd
from kemu.kernel.watchdog import lockup_detector_init, wait_until_watched


def start_kernel(watchdog: float = 0, hung_task: float = 0) -> None:
    """Bring the machine up.  May sleep.  Raises MachineError if a CPU does not come up.

    watchdog: the soft lockup threshold in seconds; 0 for no watchdog.  hung_task: how long a task
    may sleep uninterruptibly, in seconds; 0: without a limit.  It needs the watchdog.
    """
    boot_cpu_init(0)                    # cpu
    cpu_stop_init()                     # cpu_stop: migration/0
    cpuhp_threads_init()                # cpuhp_thread: cpuhp/0
    spawn_ksoftirqd()                   # softirq: ksoftirqd/0
    if watchdog:
        lockup_detector_init(watchdog)  # watchdog/0
    for cpu in range(1, len(runqueues)):
        ret = cpu_up(cpu)               # the others, and their threads
        if ret:
            raise MachineError(f"CPU {cpu} did not come up: {ret}")
    if watchdog:                        # its timers never rest, so the machine is never quiet
        wait_until_watched()            # watchdog: each has begun
        if hung_task:
            hung_task_init(hung_task)   # khungtaskd
    else:
        wait_until_quiet()              # quiesce: all CPUs idle


KERNEL = Kernel("4.13", start_kernel, start_secondary, arch_cpu_idle_dead, migrate_running,
                sched_exec, cpu_up, cpu_down, audit_hotplug)
