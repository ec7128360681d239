"""Named points in shared memory, and the holds that make a task wait at one.

A point is a symbol, so that every process knows it by the same number.  A hold is one of the
native.MAX_HOLDS structures of the header (native/hardware/gate.c acts on them):

    hold.kind ... nth           <- by the harness, before the hold is armed
    hold.state                  <- HOLD_ARMED by the harness (release); then by the gate
    hold.reached                <- how often the task came to the point: by the gate
    hold.held                   <- 1 by the gate, when it makes the task wait
    hold.until_passed           <- 1 by the gate, when the awaited point is passed

Locks: none.  Callers: kernel/own/point, harness, trace.
"""

from __future__ import annotations

from kemu import native
from kemu.memory.views import View, comm_words, words_of

POINT_PREFIX = "point:"         # how the symbols of points begin


def point_symbol(memory: native.Memory, name: str) -> int:
    """The symbol of the point of that name.  Raises OutOfMemory if there is no room for it."""
    return memory.symbol(POINT_PREFIX + name)


def point_name(memory: native.Memory, symbol: int) -> str:
    """The name of the point that has this symbol."""
    return memory.symbol_name(symbol).removeprefix(POINT_PREFIX)


class Hold(View):
    """One hold: a task that waits at a point until another task has passed a point."""

    __slots__ = words_of(native.HOLD)

    def __init__(self, memory: native.Memory, number: int) -> None:
        self._fill(memory, native.HEADER["holds"] + number * native.HOLD["sizeof"], native.HOLD)

    def arm(self, kind: int, who: str, at: str, until_who: str, until: str,
            nth: int = 1) -> None:
        """Hold the task named ``who`` at the point ``at``, until ``until_who`` passes ``until``.

        ``nth``: at which of its passes of that point, from 1.
        ``kind`` is one of native's HOLD_ constants.  The gate obeys it while GATE_HOLD is set.
        """
        comm, until_comm = comm_words(who), comm_words(until_who)
        self.state.store(0)
        for word, value in ((self.kind, kind), (self.nth, nth), (self.reached, 0),
                            (self.held, 0), (self.until_passed, 0),
                            (self.comm0, comm[0]), (self.comm1, comm[1]),
                            (self.until_comm0, until_comm[0]), (self.until_comm1, until_comm[1]),
                            (self.point, point_symbol(self.memory, at)),
                            (self.until_point, point_symbol(self.memory, until))):
            word.store(value)
        self.state.store_release(native.HOLD_ARMED)
