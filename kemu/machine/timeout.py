"""Waiting for a limited time that does not count the time that the host lost.

When a virtual host resumes after a pause of a minute, its clock has advanced by a minute.
A waiter that compares clock times then gives up on a process that had no chance to run.
poll_for() counts polls instead, and each poll waits.  A pause of any length is one poll.

Locks: none.  Callers: machine, harness/side_run, explore/trials.
"""

from __future__ import annotations

from collections.abc import Callable

POLL_SECONDS = 0.1


def poll_for(seconds: float, wait: Callable[[float], bool]) -> bool:
    """Call wait(POLL_SECONDS) until it returns true, for about that many seconds.

    ``wait`` waits for at most the seconds that it is given.  Returns whether it returned true.
    """
    return any(wait(POLL_SECONDS) for _ in range(round(seconds / POLL_SECONDS)))
