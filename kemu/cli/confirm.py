"""``--script FILE``, of `kemu race` and `kemu replay`: write a schedule as a script, and confirm it.

Callers: race, replay.
"""

from __future__ import annotations

from pathlib import Path

from kemu.explore.confirm import confirm, script_text
from kemu.explore.replay import replay
from kemu.explore.schedule import Schedule
from kemu.harness.race import Race


def write_script(path: Path, race: Race, schedule: Schedule, name: str = "") -> str:
    """Write the script, if there is one; what came of it, for the reader.  name: the schedule's file.

    Raises UsageError for a race that cannot run.
    """
    again = replay(race, schedule)
    if not again.same:
        return f"no script: {again.remarks[-1]}"
    found = confirm(race, schedule.side, again.record)
    if not found.lines:
        return str(found)
    path.write_text(script_text(race, schedule, again.record, found, path, name))
    return f"{found}\n\n  run it again:\n    kemu race {path} --side {schedule.side} --how forced"
