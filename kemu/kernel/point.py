"""Named points: where a script may hold a task, and jitter may delay it.

kemu's own.  The kernel carries a point where a seed's story needs one, and
nothing else; a user's race has points of its own.  A point that nothing is
armed for costs one native call.

Locks: none.  Callers: everybody.
"""

from __future__ import annotations

from kemu import native
from kemu.memory import space

PREFIX = "point:"

_numbers: dict[str, int] = {}


@space.on_attach
def _attach(memory: native.Memory) -> None:
    for name in _numbers:
        _numbers[name] = memory.symbol(PREFIX + name)


def point(name: str) -> None:
    """Pass the point of that name.  Not with a spinlock held, if a script holds a task there."""
    number = _numbers.get(name)
    if number is None:
        number = _numbers[name] = space.this().symbol(PREFIX + name)
    native.point(number)
