"""Which host cores are taken: marks that all machines of one user see, whatever process they are in.

A mark is an abstract Unix socket, bound and never read.  Binding a name that another socket has
fails with EADDRINUSE, so the host's kernel decides which machine was first.  That kernel frees the name when
the last descriptor of the socket is closed, and so when the process dies, whichever way.

    kemu/UID/core/CORE/PLACE    PLACE 0: the first machine on this core
                                PLACE 1 .. PLACES-1: machines that share it with others

    take a core that at most N machines hold
        bind a free PLACE of 0 .. N     none is free: more than N hold it
        count the other PLACEs          connect() succeeds where a socket is bound
        more than N: close the mark

A machine takes cores for N = 0, then for N = 1, and so on: first cores that no machine holds,
then those that the fewest hold.  With N = 0 only PLACE 0 is tried, so of two machines that look
at once exactly one gets the core.

The mark of a machine ends with close(), when the machine is garbage, and with its process.  A
fork of the process closes its copies, because it has no part in its parent's machines.  A
program that the process executes gets none (CLOEXEC).

Names are seen within one network namespace only.  Where the host refuses such sockets, or there
are no descriptors left, a machine takes cores as if it were alone.  A machine is not told that
another one came to share its core later: that one knows, and does not poll.

Linux: none; kemu's own.
Locks: _forking, so that no fork comes between the birth of a mark and its entry in _marks.
Callers: placement, machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import weakref
from collections.abc import Sequence

PREFIX = f"kemu/{os.getuid()}/core"
PLACES = 16             # machines on one core that know of each other

_forking = threading.RLock()        # a signal's handler may boot a machine, or fork, too
_marks: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class Cores:
    """The marks of one machine."""

    def __init__(self) -> None:
        self._mine: list[socket.socket] = []
        self._others: dict[int, int] = {}
        self._finalizer = weakref.finalize(self, _close, self._mine)

    def take(self, usable: Sequence[int], wanted: int) -> list[int]:
        """Mark so many different cores, those that the fewest machines hold first, in this order.

        wanted: at most as many as there are.
        """
        chosen: list[int] = []
        with contextlib.suppress(OSError):      # refused: the rest is taken without marks
            for most in range(PLACES):
                for core in usable:
                    if len(chosen) < wanted and core not in chosen and self._mark(core, most):
                        chosen.append(core)
        return [*chosen, *(core for core in usable if core not in chosen)][:wanted]

    def mark(self, cores: Sequence[int]) -> None:
        """Mark these cores, even if another machine holds them."""
        with contextlib.suppress(OSError):
            for core in dict.fromkeys(cores):
                self._mark(core, PLACES - 1)

    def others(self, core: int) -> int:
        """How many machines held the core when this one marked it."""
        return self._others.get(core, 0)

    def release(self) -> None:
        """Free the cores.  Any thread; harmless twice."""
        self._finalizer()

    def _mark(self, core: int, most: int) -> bool:
        """Whether the core was taken: at most so many others hold it.  Raises OSError if refused."""
        with _forking, contextlib.ExitStack() as undo:
            mark = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            _marks.add(mark)
            place = _bind(mark, core, most)
            others = sum(_held(core, other) for other in range(PLACES) if other != place)
            self._others[core] = others
            if place is None or others > most:
                return False
            self._mine.append(mark)
            undo.pop_all()
            return True


def _name(core: int, place: int) -> str:
    return f"\0{PREFIX}/{core}/{place}"       # a zero byte first: abstract


def _bind(mark: socket.socket, core: int, most: int) -> int | None:
    """The place that the mark has got, 0 to most; None if each is held."""
    for place in range(most + 1):
        try:
            mark.bind(_name(core, place))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return place
    return None


def _held(core: int, place: int) -> bool:
    """Whether a machine holds this place of the core."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as looker:
        return looker.connect_ex(_name(core, place)) == 0


def _close(marks: list[socket.socket]) -> None:
    while marks:
        marks.pop().close()


def _drop_in_child() -> None:
    """In a fork: close the copies of its parent's marks."""
    for mark in list(_marks):
        mark.close()
    _forking.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release,
                    after_in_child=_drop_in_child)
