"""printk: a line on the machine's console, labelled with CPU and task.

Linux: kernel/printk/printk.c.  Not modelled: levels, the log buffer, the count of messages
that the rate limit suppressed.

The line goes to the process's main thread, which sends it to the controller.  The caller
does not wait, in any context.  The output of print() in a task goes the same way.
"""

from __future__ import annotations

from typing import Final

from kemu import native
from kemu.kernel.own import wiring
from kemu.memory.struct import PerCPU, Word

RATELIMIT_BURST, RATELIMIT_NS = 10, 5_000_000_000


def printk(text: str) -> None:
    """Print a line on the machine's console.  Any context.  Does not sleep."""
    me = native.current()
    for line in text.splitlines() or [""]:
        wiring.console(f"[cpu{me.cpu.load()} {me.comm}] {line}")


class Ratelimit(PerCPU, keep=True):
    """Each CPU's rate limit, which all messages of that CPU share."""

    since: Final = Word()
    printed: Final = Word()


def printk_ratelimit() -> bool:
    """Whether to print a message that may come often: at most ten in five seconds.  Any context."""
    limit, now = Ratelimit.this_cpu(), native.now_ns()
    if now - limit.since.load() > RATELIMIT_NS:
        limit.since.store(now)
        limit.printed.store(0)
    return limit.printed.add(1) <= RATELIMIT_BURST
