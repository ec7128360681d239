"""Task states, and how a task sets its own.

Linux: include/linux/sched.h (3.9); set_special_state() of 2018.

A state is a bit mask; zero is TASK_RUNNING.  A waker passes the mask of states that it may
wake (try_to_wake_up).  Only the mask of kthread_unpark() has TASK_PARKED, and TASK_PARKED
has no other protection.

Locks: pi_lock in set_special_state() only (state.c).  Callers: all files of the kernel.
"""

from __future__ import annotations

from kemu import native
from kemu.native import current

TASK_RUNNING = native.TASK_RUNNING
TASK_INTERRUPTIBLE = 1
TASK_UNINTERRUPTIBLE = native.TASK_UNINTERRUPTIBLE
TASK_DEAD = native.TASK_DEAD
TASK_WAKEKILL = 128
TASK_WAKING = native.TASK_WAKING
TASK_PARKED = native.TASK_PARKED
TASK_STATE_MAX = 1024

TASK_NORMAL = native.TASK_NORMAL         # INTERRUPTIBLE or UNINTERRUPTIBLE

PF_EXITING = native.PF_EXITING
PF_KTHREAD = native.PF_KTHREAD
PF_NO_SETAFFINITY = 0x4000000
PF_REBORN = native.PF_REBORN          # kemu: its thread ends, and it begins again in a new one
PF_MIGRATING = 0x10000000       # kemu: its CPU's stopper is asked to move it
PF_REHOMED = 0x40000000         # kemu: its thread was born anew in another process


def set_current_state(state: int) -> None:
    """Set the current task's state, then a full barrier: the task tests its condition after that.

    Pairs with the waker's order: change the condition, then wake.
    """
    current().state.xchg(state)


def __set_current_state(state: int) -> None:
    """As set_current_state(), without the barrier."""
    current().state.store(state)


def set_special_state(state: int) -> None:
    """Set a state in which the task does not test a condition again: PARKED, DEAD.

    An earlier waker that found the task in TASK_NORMAL may store TASK_RUNNING late, under pi_lock.
    That does no harm to a task that tests its condition in a loop.  A parked task would lose its
    state.  Here the store is under pi_lock too, so the waker's store comes before it.
    Linux: 2018, b5bf9a90bbeb; exhibit parked-store-collides.
    """
    native.set_special_state(state)
