"""Workloads of keventd, the thread that all works of 2.6.6 share.

    helpers  have keventd start programs: each work waits until its program has execed
    flush    wait for keventd's works, as drivers do, with the hotplug lock held

kemu's own; the idea is that of the exhibits exec-deadlocks-flush and exec-deadlocks-cpu-up.
Locks: none.  Callers: workloads.
"""

from __future__ import annotations

from kemu.kernel import sched
from kemu.kernel.v2_6.kmod import SubprocessInfo, call_usermodehelper
from kemu.kernel.v2_6.workqueue import flush_scheduled_work
from kemu.torture.worker import Turn


def helpers(t: Turn) -> None:
    """Have keventd start a program, which execs, and wait for it."""
    info = SubprocessInfo.alloc()
    while t.going():
        call_usermodehelper(info)
        t.did()
    info.free()


def flush(t: Turn) -> None:
    """Wait until keventd has run every work that is queued."""
    while t.going():
        flush_scheduled_work()
        sched.cond_resched()
        t.did()
