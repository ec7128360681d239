"""An operation on shared memory, as a place where a script holds a task.

    kemu.before("store", "sleeper.state")               the task's first store of that word in a trial
    kemu.before("load", "Ring[0].head", nth=2)          its second load of this one

So a script needs no kemu.point() in the code that it holds.  The task is held before the operation
takes effect.  kernel/own/word_names.py says what words are called.

Linux: none; kemu's own.  The hardware counts the operations (native/hardware/hold.c).
Locks: none.  Callers: race files; race, script and doubts; explore/holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from kemu import native
from kemu.errors import UsageError, refuse, shown
from kemu.kernel.own.word_names import WordName
from kemu.machine.arguments import check_int

OPERATIONS = {"load": native.OP_LOAD, "store": native.OP_STORE, "xchg": native.OP_XCHG,
              "cmpxchg": native.OP_CMPXCHG, "add": native.OP_ADD, "or": native.OP_OR,
              "and": native.OP_AND, "lock": native.OP_LOCK, "unlock": native.OP_UNLOCK}
ORDINALS = {1: "first", 2: "second", 3: "third"}


@dataclass(frozen=True)
class Operation:
    """The nth such operation that a task does in a trial, from 1."""

    op: str
    word: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{ORDINALS.get(self.nth, f'{self.nth}th')} {self.op} of {self.word}"

    def __repr__(self) -> str:
        nth = f", nth={self.nth}" if self.nth > 1 else ""
        return f'kemu.before("{self.op}", "{self.word}"{nth})'


def before(op: str, word: str, nth: int = 1) -> Operation:
    """The place before a task's ``nth`` operation ``op`` on ``word`` in a trial, for race.force().

    ``op``: load, store, xchg, cmpxchg, add, or, and, lock or unlock.  ``word``: its name, as `kemu
    replay` draws it: "TASK.FIELD", "TASK.kthread.FIELD", "cpuN.FIELD" or "VARIABLE[CPU].FIELD".
    An actor's operations count from the point "start".  Raises UsageError for an operation or a
    word that there is not.
    """
    if op not in OPERATIONS:
        raise refuse("op", op, f"one of {', '.join(OPERATIONS)}")
    if not isinstance(word, str):
        raise UsageError(f"before(word={shown(word)}): the name of a word, such as \"sleeper.state\"")
    WordName.parse(word)
    check_int("nth", nth, 1, 1 << 30, "the number of the operation in a trial")
    return Operation(op, word, nth)
