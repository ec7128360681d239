"""The kernel's logic: path for path Linux's kernel/, the same function names, in Python.

Everything here runs in the tasks of a machine.  A module says at its head which Linux file
it follows and what it leaves out.  The code is the fixed kernel.  What came before a fix
lives in kemu.races.

The base is cpu.c, smpboot.c and stop_machine.c of v4.13, and kthread.c of v3.9 (f2530dc71cf0).
kthread_create_on_cpu() therefore creates a thread that is parked and not bound.  These later
fixes are in it, because without them a side that is called fixed would fail:

    25834c73f93a  2015  a kthread is bound under pi_lock (kthread)
    4dddfb5faa61, 1db49484f21e, 96abb968549c  4.15  rollback of hotplug (hotplug.cpuhp_thread)
    b5bf9a90bbeb, 1cef1150ef40  2018  TASK_PARKED is a special state (sched.state)
    0b26351b910f, 9fb8d5dc4b64  2018  a stopper is woken after its lock is dropped (cpu_stop)
    45178ac0cea8  5.5   a CPU's stopper takes works before other tasks run there (hotplug.cpu)
    3ae70c251f34, 453e41085183  5.11  a DEAD callback cannot fail; empty states (hotplug.cpu)

4bee96860a65 (registration holds the hotplug lock) is part of v4.13 already.

Errors are Linux's: a function returns a negative errno where Linux's function does.
"""
