"""The logic: path for path Linux's kernel/, the same function names, in Python.

Everything here runs in tasks of a machine.  A module says at its head which
Linux file it follows and what it leaves out.  The code is the fixed kernel;
what came before a fix lives in ``kemu.races``.

The base is v4.13's cpu.c, smpboot.c and stop_machine.c, with kthread.c as commit
f2530dc71cf0 (3.9) left it, plus these later fixes, without which a side that is
called fixed would not be clean:

* b5bf9a90bbeb and 1cef1150ef40 (2018): TASK_PARKED is a special state, stored
  under pi_lock (sched.set_special_state), or a late TASK_RUNNING of an earlier
  waker overwrites it.  Exhibit: parked-store-collides.

Errors are Linux's: a negative errno is returned where Linux returns one.
"""
