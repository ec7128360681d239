"""CPU hotplug: the states a CPU goes through, up and down, and the threads that take it there.

Linux: kernel/cpu.c (cpu, cpuhp, cpuhp_thread, cpuhp_setup), and what the scheduler
contributes from kernel/sched/core.c (sched_cpu).  The hotplug of 2004 is in kernel/v2_6.
"""
