"""How to tell a mistake in the race's file from a failure of the kernel.

An exception that leaves a task stops the machine with an oops.  If the race's own code raised
it, the oops says nothing about the kernel: the author mistyped a name, or passed a wrong
argument.  The run then ends at once, on either side, and names the line.

The exception is the race's own if the innermost frame that belongs either to the race or to
kemu belongs to the race.  It is so, too, if kemu refused an argument (UsageError).  A
dereference of None is a kernel's NULL dereference, and a hit where the race names it.

Linux: none; kemu's own.
Locks: none.  Callers: side_run.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import kemu
from kemu.errors import AtomicHold, KernelPanic, TaskOops, UsageError
from kemu.harness.findings import Finding, is_hit
from kemu.harness.race import Race

FRAME = re.compile(r'^  File "(.*)", line (\d+), in ', re.MULTILINE)
OOPS = re.compile(r"^Oops: (\w+) left ", re.MULTILINE)
NULL = "Unable to handle kernel NULL pointer dereference"
ROOT = str(Path(kemu.__file__).parent) + os.sep
STORIES = os.path.join(ROOT, "races", "")


def mistake_in(race: Race, side: str, panic: KernelPanic, finding: Finding) -> str:
    """What the author of the race has to mend, in words; "" if the kernel failed."""
    raised = OOPS.search(panic.text)
    if not isinstance(panic, TaskOops) or not raised:
        return ""
    if raised[1] == AtomicHold.__name__:
        return (f"its script holds {panic.task} at a point with a spinlock held: say "
                'kind="locked" in force()')
    if panic.text.startswith(NULL) and is_hit(race, side, finding):
        return ""
    if raised[1] not in _refusals() and not _is_the_races(race, panic.traceback):
        return ""
    hint = (".  To state what must hold, use race.invariant() or race.postcondition"
            if raised[1] == AssertionError.__name__ else "")
    return (f"{panic.task} raised {raised[1]} on side {side}: {panic.text.rpartition(': ')[2]}"
            f"{hint}\n{last_frame(panic)}")


def last_frame(panic: KernelPanic) -> str:
    """The line that raised an exception which no code caught; "" for other panics."""
    lines = panic.traceback.splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    if not isinstance(panic, TaskOops) or not places:
        return ""
    return "\n".join("  " + line.strip() for line in lines[places[-1]:places[-1] + 2])


def _refusals() -> set[str]:
    """The names of UsageError and of its subclasses."""
    return {UsageError.__name__, *(kind.__name__ for kind in UsageError.__subclasses__())}


def _is_the_races(race: Race, traceback: str) -> bool:
    files = {step.__code__.co_filename for step in race.steps()}
    for found in reversed(FRAME.findall(traceback)):
        if found[0] in files or found[0].startswith(STORIES):
            return True
        if found[0].startswith(ROOT):
            return False
    return False
