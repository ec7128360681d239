"""The reports of trials that hung, each in a file of its own.

A hang may show once in a million trials.  What it leaves behind is kept as soon as it shows, and a
later hit does not replace it.

    DIR/RACE-SIDE-HOW-SEED-MACHINE.txt      the machine's number counts from 1 in each side

Linux: none; kemu's own.
Locks: none.  Callers: side_run.
"""

from __future__ import annotations

import re
from pathlib import Path

from kemu.errors import UsageError
from kemu.harness.findings import Finding


def keep_report(folder: Path, parts: list[object], finding: Finding, report: str) -> Path:
    """Write the report of a trial that hung, and return the file.

    parts: what tells the file from others.  Raises UsageError if it cannot be written.
    """
    name = "-".join(re.sub(r"[^\w.]", "_", str(part)) for part in parts)
    path = folder / f"{name}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{finding.kind.value}: {finding.line}\n\n{report}\n")
    except OSError as error:
        raise UsageError(f"the report of a trial that hung cannot be kept: {error}.  Name another "
                         "folder") from error
    return path
