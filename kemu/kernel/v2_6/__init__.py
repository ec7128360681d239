"""Hotplug and migration as of Linux 2.6.6, with "sched-hotplug-cpu-sched_balance_exec-fix".

    notifier       the chain of callbacks      kernel/sys.c
    cpu            cpu_up, cpu_down            kernel/cpu.c
    stop_machine   kstopmachine                kernel/stop_machine.c
    migration      requests                    kernel/sched.c
    migration_call the threads that serve them kernel/sched.c
    cpucontrol     the hotplug lock            kernel/cpu.c
    workqueue      keventd                     kernel/workqueue.c
    kthread        threads, made by keventd    kernel/kthread.c
    softirq        ksoftirqd of the time       kernel/softirq.c
    audit          what must hold at rest      kemu's own
    init           boot                        init/main.c

The scheduler, kthreads and completions are those of ``kemu.kernel``.  This package has only
what 2.6.6 did differently.
"""
