"""The kernel's hooks: every call of the kernel from a lower module to a higher one.

kemu's own.  In Linux the linker binds such calls; here imports go down only, so the
higher module binds its function to a hook of this page.  A hook that is called before it
is bound raises UnboundHook.

    hook               called by                  bound by, and when
    console            printk.printk              machine.processor, before the first task
    power_off          arch.play_dead             machine.processor, before the first task
    offline_idle       sched.schedule.do_idle     own.version.install, before the first task
    forced_migration   set_cpus_allowed_ptr       own.version.install, before the first task
    dead_task          sched.schedule             fork, when it is imported
    freed_task         fork.put_task_struct       kthread, when it is imported
    dropped_work       cpu_stop.cpu_stop_drop     stop_machine, when it is imported

Two calls of the hardware are bound elsewhere, because C makes them: native.set_vectors()
(interrupts, preemption) and native.set_point_names() (own.point).

Locks: none.  A hook is bound in the thread that starts the process, before others run.
"""

from __future__ import annotations

from typing import Any

from kemu.memory.hook import Hook
from kemu.memory.views import Task

# Takes a line of text to the machine's console.  Any context; must not sleep.
console: Hook[[str], None] = Hook("console", "kemu.machine.processor")

# What the board does when a CPU goes off.  In the CPU's idle task, interrupts off.
power_off: Hook[[int], None] = Hook("power_off", "kemu.machine.processor")

# What the idle task does when its CPU is offline; returns when the CPU is online again.
offline_idle: Hook[[int], None] = Hook("offline_idle", "kemu.kernel.own.version.install()")

# Moves a task that runs to a CPU.  May sleep.
forced_migration: Hook[[Task, int], None] = Hook("forced_migration",
                                                 "kemu.kernel.own.version.install()")

# A task has died and is off its CPU: drops the scheduler's reference.  Any context.
dead_task: Hook[[Task], None] = Hook("dead_task", "kemu.kernel.fork")

# The last reference to a task was dropped: frees what belongs to the task.  Any context.
freed_task: Hook[[Task], None] = Hook("freed_task", "kemu.kernel.kthread")

# A stop work is completed without having run.  Under stopper.lock.
dropped_work: Hook[[Any], None] = Hook("dropped_work", "kemu.kernel.stop_machine")
