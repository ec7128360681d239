"""Named points: where a script may hold a task, and jitter may delay it.

kemu's own.  The kernel has a point in each gap of its protocols; points.py lists them with
their meanings.  A user's race has points of its own.  While nothing is armed, a point costs
one native call, which does not even look the name up.

    point(name)     pass the point of that name; not with a spinlock held, if a script holds
                    a task there

Locks: none.  Callers: everybody.
"""

from __future__ import annotations

from kemu import native
from kemu.memory import current_memory
from kemu.memory.points import point_symbol
from kemu.native import point

__all__ = ["point"]


class _Symbols(dict[str, int]):
    """The symbol of each point that was passed with something armed."""

    def __missing__(self, name: str) -> int:
        self[name] = point_symbol(current_memory.get(), name)
        return self[name]


_symbols = _Symbols()
native.set_point_names(_symbols)


@current_memory.on_attach
def _attach(memory: native.Memory) -> None:
    _symbols.clear()
