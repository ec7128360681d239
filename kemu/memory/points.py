"""Named points in shared memory, and the holds that make a task wait.

A point is a symbol, so that every process knows it by the same number.  A hold is one of the
native.MAX_HOLDS structures of the header (native/hardware/hold.c acts on them).  Its two places
are named points, or operations on words:

    hold.kind ... until_nth     <- by the harness, before the hold is armed
    hold.state                  <- HOLD_ARMED by the harness (release); then by the gate
    hold.at_reached             <- how often the task came to the place: by the gate
    hold.held                   <- 1 by the gate, when it makes the task wait
    hold.until_passed           <- 1 by the gate, when the awaited task comes to its place

Locks: none.  Callers: kernel/own/point, harness, trace.
"""

from __future__ import annotations

from dataclasses import dataclass

from kemu import native
from kemu.memory.views import View, comm_words, words_of

POINT_PREFIX = "point:"         # how the symbols of points begin


def point_symbol(memory: native.Memory, name: str) -> int:
    """The symbol of the point of that name.  Raises OutOfMemory if there is no room for it."""
    return memory.symbol(POINT_PREFIX + name)


def point_name(memory: native.Memory, symbol: int) -> str:
    """The name of the point that has this symbol."""
    return memory.symbol_name(symbol).removeprefix(POINT_PREFIX)


@dataclass(frozen=True)
class Place:
    """Where a task is held, or what ends a hold, as the gate compares it.

    who: the task.  op: native.OP_POINT, or that of an operation.  word: the symbol of the point, or
    the place of the word from ``base``, a native.BASE_ constant; owner: the task that has the word.
    nth: at which pass, from 1.  counts: a native.COUNTS constant: which passes count.
    """

    who: str
    op: int
    word: int
    base: int = native.BASE_MEMORY
    owner: str = ""
    nth: int = 1
    counts: int = native.COUNTS

    def fields(self) -> dict[str, int]:
        """Its words."""
        comm, owner = comm_words(self.who), comm_words(self.owner)
        return {"comm0": comm[0], "comm1": comm[1], "op": self.op, "base": self.base,
                "word": self.word, "owner0": owner[0], "owner1": owner[1], "nth": self.nth,
                "counts": self.counts, "reached": 0}


class Hold(View):
    """One hold: a task that waits at a place until another task has come to a place."""

    __slots__ = words_of(native.HOLD)

    def __init__(self, memory: native.Memory, number: int) -> None:
        self._fill(memory, native.HEADER["holds"] + number * native.HOLD["sizeof"], native.HOLD)

    def arm(self, kind: int, at: Place, until: Place, start: str) -> None:
        """Hold the task of ``at`` there, until the task of ``until`` comes there.

        ``kind`` is one of native's HOLD_ constants; ``start``: the point at which a trial begins.
        The gate obeys it while GATE_HOLD is set.
        """
        self.state.store(0)
        words = {"kind": kind, "held": 0, "until_passed": 0,
                 "start_point": point_symbol(self.memory, start)}
        words |= {f"at_{name}": value for name, value in at.fields().items()}
        words |= {f"until_{name}": value for name, value in until.fields().items()}
        for name, value in words.items():
            getattr(self, name).store(value)
        self.state.store_release(native.HOLD_ARMED)
