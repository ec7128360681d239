"""Write over the shared memory of a live machine, and make every call of it.

    scribble(memory, way, dice)     words anywhere, fields of CPUs and tasks, or the header
    abuse(m)                        each call returns, or raises an error of kemu's, in time

    python -m tests.machine.hostile RUNS        that many machines, beside a healthy one

Callers: test_hostile_memory; make faults.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from kemu import KemuError, Machine, native
from kemu.kernel.own.point import point

WAYS = {"words": 400, "fields": 120, "header": 40}      # how many words each way writes over
EDGES = (-1, 1, 2, 1 << 31, 1 << 62, -(1 << 63))
CALL_SECONDS = 10.0         # far more than any call takes here
BUSY_SLOTS = 32             # in which there are tasks


def nothing() -> int:
    point("nothing")
    return 1


def value(dice: random.Random) -> int:
    """Any word, or one at an edge of what code expects."""
    return dice.choice(EDGES) if dice.random() < 0.3 else dice.getrandbits(64) - (1 << 63)


def offset(memory: native.Memory, way: str, dice: random.Random) -> int:
    """The next word to write over."""
    if way == "header":
        return native.HEADER[dice.choice([name for name in native.HEADER if name != "report"])]
    if way == "words":      # up to the first of the symbols and rings: what is written all the time
        return dice.randrange(0, memory.symbols + (1 << 18), 8)
    table, number, layout = dice.choice([(memory.cpus, memory.nr_cpus, native.CPU),
                                         (memory.tasks, BUSY_SLOTS, native.TASK)])
    field = dice.choice([name for name in layout if name != "sizeof"])
    return table + dice.randrange(number) * layout["sizeof"] + layout[field]


def scribble(memory: native.Memory, way: str, dice: random.Random) -> None:
    """Write over words of a live machine's memory."""
    for _ in range(WAYS[way]):
        native.Word(memory, offset(memory, way, dice)).store(value(dice))


def call(function: Callable[[], Any]) -> None:
    """Make a call.  Raises AssertionError if it took too long, and any error that is not kemu's."""
    began = time.monotonic()
    with contextlib.suppress(KemuError):
        function()
    took = time.monotonic() - began
    assert took < CALL_SECONDS, f"{function} took {took:.1f} s"


def abuse(m: Machine) -> None:
    """Make every call of a machine whose memory is written over; then close it."""
    try:
        for made in (lambda: m.start(nothing).wait(0.1), lambda: m.run(nothing, cpu=1, timeout=0.1),
                     m.tasks, m.trace, m.online, m.audit if m._inbox.failure else m.check_memory):
            call(made)
        assert m.report(stacks=True)
        assert repr(m)
    finally:
        call(m.close)


def run(seed: int) -> None:
    """Boot a machine, write over its memory, and abuse it."""
    m = Machine(2, trace=bool(seed % 2))
    m.run(nothing)
    scribble(m.memory, list(WAYS)[seed % len(WAYS)], random.Random(seed))
    abuse(m)


def main(runs: int) -> None:
    """Runs with the seeds from 0 on, beside a machine that must notice nothing."""
    with Machine(2) as healthy:
        for seed in range(runs):
            run(seed)
            assert healthy.run(nothing) == 1, f"seed {seed}"
    print(f"{runs} machines with a memory that was written over: each call ended, with an error of "
          f"kemu's or without; the healthy machine noticed nothing (pid {os.getpid()})")


if __name__ == "__main__":
    main(int(sys.argv[1]))
