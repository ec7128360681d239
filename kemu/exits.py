"""The exit statuses of every command, the same for all.

A script reads them: 0 tells it to go on, 1 tells it that something is wrong with what was
tested, 2 tells it that nothing was shown, and 64 and above tell it that nothing was tested.

Open to every storey; imports nothing of kemu.
Callers: harness.verdict, and each command in cli.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """The exit status of a command."""

    EXPECTED = 0            # everything is as expected
    UNEXPECTED = 1          # something is not
    UNKNOWN = 2             # the run proves nothing
    MISUSE = 64             # the command line or a file on it is wrong (EX_USAGE in sysexits.h)
    INTERNAL = 70           # kemu itself failed (EX_SOFTWARE)
    INTERRUPTED = 130       # the user pressed Ctrl-C (as a shell reports SIGINT)
    PIPE_CLOSED = 141       # the reader of the output has gone (as a shell reports SIGPIPE)


SEVERITY = (Exit.EXPECTED, Exit.UNKNOWN, Exit.UNEXPECTED, Exit.MISUSE, Exit.INTERNAL,
            Exit.PIPE_CLOSED, Exit.INTERRUPTED)


def worst(exits: Iterable[Exit]) -> Exit:
    """The status of a whole whose parts have these statuses; EXPECTED if there are no parts.

    A part that is unexpected makes the whole unexpected, even if another part is unknown.
    """
    return max(exits, key=SEVERITY.index, default=Exit.EXPECTED)
