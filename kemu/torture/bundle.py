"""The bundle of a failure: a folder with all that another person needs to examine it.

    command.txt   the command that runs it again
    plan.json     the options, and the host it ran on
    failure.txt   what failed
    report.txt    the machine's report: every CPU and task, which task waits for which
    trace.txt     the last events of every CPU, as ftrace's text
    diagram.txt   the last of them in columns, one for each CPU

Locks: none.  Callers: the command line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kemu.torture.run import Result
from kemu.trace import columns, ftrace

DRAWN_EVENTS = 120


def write_bundle(folder: Path, result: Result, command: str, plan: dict[str, Any]) -> Path:
    """Write the folder, under a number if there is one of that name; the folder.  Raises OSError."""
    chosen, number = folder, 1
    while chosen.exists():
        number += 1
        chosen = folder.with_name(f"{folder.name}-{number}")
    chosen.mkdir(parents=True)
    texts = {"command.txt": command, "plan.json": json.dumps(plan, indent=1),
             "failure.txt": "\n".join(result.failures), "report.txt": result.report}
    if result.trace is not None:
        texts["trace.txt"] = ftrace.text(result.trace)
        texts["diagram.txt"] = _diagram(result)
    for name, text in texts.items():
        (chosen / name).write_text(text.rstrip() + "\n")
    return chosen


def _diagram(result: Result) -> str:
    assert result.trace is not None
    names = dict.fromkeys(event.who for event in result.trace.events[-DRAWN_EVENTS:])
    return columns.draw(result.trace, labels=columns.default_labels(names), tail=DRAWN_EVENTS,
                        verdict=result.failures[0].splitlines()[0])
