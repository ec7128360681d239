"""Boot as a list.

Linux: init/main.c (start_kernel, kernel_init), kernel/smp.c (smp_init).

Runs as the first task of CPU 0, when every CPU's process is there and plays dead.
"""

from __future__ import annotations

from kemu.errors import MachineError
from kemu.kernel.cpu import boot_cpu_init, cpu_up
from kemu.kernel.cpu_stop import cpu_stop_init
from kemu.kernel.cpuhp_thread import cpuhp_threads_init
from kemu.kernel.quiesce import wait_until_quiet
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.softirq import spawn_ksoftirqd
from kemu.kernel.watchdog import lockup_detector_init


def start_kernel(watchdog: float = 0) -> None:
    """Bring the machine up.  May sleep.  Raises MachineError if a CPU does not come.

    watchdog: the soft lockup threshold in seconds, 0 for none.
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
    if not watchdog:                    # its timers never rest
        wait_until_quiet()              # quiesce: all CPUs idle
