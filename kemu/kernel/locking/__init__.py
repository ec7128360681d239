"""Locks that sleep: mutexes and per-CPU reader/writer semaphores.

Linux: kernel/locking/.  Spinlocks are hardware here: native/hardware/spinlock.c.
"""
