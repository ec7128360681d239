"""Time-outs that do not count what the host took.

A virtual host that was paused for a minute comes back with its clock a minute on: who
only compares times then gives up on somebody who had no chance to run.  Looks are
counted here, each of which waits; a pause is one look.

Callers: machine, races.
"""

from __future__ import annotations

from collections.abc import Callable

LOOK_SECONDS = 0.1


def within(seconds: float, wait: Callable[[float], bool]) -> bool:
    """Call wait(LOOK_SECONDS) until it is true, for about that many seconds; whether it was."""
    return any(wait(LOOK_SECONDS) for _ in range(round(seconds / LOOK_SECONDS)))
