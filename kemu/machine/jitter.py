"""Jitter: seeded random delays, interrupts and preemption on every CPU of a machine.

kemu's own; what is delayed is decided in native/hardware/gate.c.  The seed repeats the draws
of each task, not the interleaving.

Locks: none.  Callers: harness.plan, side_run; torture.run; the command line.
"""

from __future__ import annotations

from kemu import native
from kemu.errors import refuse
from kemu.memory.views import Header

GRAINS = ("points", "ops")
JITTER_MAX_NS = 1_000_000                   # of a delay; shorter ones are likelier
JITTER_ODDS = {"points": 2, "ops": 100}     # one point, or one operation, in so many is delayed


def check_grain(grain: str) -> str:
    """Raises UsageError for a grain that there is not."""
    if grain not in GRAINS:
        raise refuse("grain", grain, f"one of {', '.join(GRAINS)}")
    return grain


def arm_jitter(memory: native.Memory, seed: int, grain: str) -> None:
    """From now on delay points of that machine or, with grain "ops", every operation too."""
    header = Header(memory)
    header.jitter_max_ns.store(JITTER_MAX_NS)
    header.jitter_odds.store(JITTER_ODDS[check_grain(grain)])
    header.jitter_seed.store(seed)
    header.gate.fetch_or(native.GATE_JITTER)
    if grain == "ops":
        header.gate.fetch_or(native.GATE_JITTER_OPS)
