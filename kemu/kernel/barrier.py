"""Memory barriers.

Linux: include/asm-generic/barrier.h.  Not modelled: smp_read_barrier_depends(), the barriers for
devices.

On real cores each is the host's own barrier.  In a search with a memory model they order the stores
in the buffer and the values that loads may read (native/hardware/storebuffer.c).

    smp_mb               all before it, then all after it
    smp_wmb              stores before it, then stores after it; pairs with smp_rmb()
    smp_rmb              loads before it, then loads after it; pairs with smp_wmb()
    smp_store_release    all before it, then this store; pairs with smp_load_acquire()
    smp_load_acquire     this load, then all after it

Every read-modify-write of a Word, and every lock, is a full barrier.  An unlock is a release.

Locks: none.  Callers: sched, race files, users.
"""

from __future__ import annotations

from kemu import native
from kemu.native import smp_mb, smp_rmb, smp_wmb

__all__ = ["smp_load_acquire", "smp_mb", "smp_rmb", "smp_store_release", "smp_wmb"]


def smp_load_acquire(word: native.Word) -> int:
    """Read the word, before all that follows.  Any context."""
    return word.load_acquire()


def smp_store_release(word: native.Word, value: int) -> None:
    """Write the word, after all that precedes.  Any context."""
    word.store_release(value)
