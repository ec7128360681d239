"""History: one file per race that was fixed, each run on both sides.

    race       the public object: sides, actors, points, invariants, a script
    trial      what runs in the machine: referee and actors
    runner     machines for each side, jitter, counts
    verdict    intervals and verdicts
    (others)   the exhibits; each tells its story at its head

The register is the list below; ``find`` also takes a user's file.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from kemu.errors import UsageError

if TYPE_CHECKING:
    from kemu.harness.race import Race

FORCED = {
    "lost-wakeup": "lost_wakeup",
    "unpark-wrong-cpu": "unpark_wrong_cpu",
    "stop-class-while-queued": "stop_class_while_queued",
    "parked-store-collides": "parked_store_collides",
    "park-returns-early": "park_returns_early",
    "stale-is-parked": "stale_is_parked",
    "stopper-drops-work": "stopper_drops_work",
    "stopper-drops-work-up": "stopper_drops_work_up",
    "unpark-from-idle": "unpark_from_idle",
    "stopper-enabled-late": "stopper_enabled_late",
    "register-misses-cpu": "register_misses_cpu",
    "bind-loses-mask": "bind_loses_mask",
    "stop-of-parked": "stop_of_parked",
    "exec-deadlocks-flush": "exec_deadlocks_flush",
    "exec-deadlocks-cpu-up": "exec_deadlocks_cpu_up",
    "exec-dest-dies": "exec_dest_dies",
    "exec-dest-dies-early": "exec_dest_dies_early",
    "exec-source-dies": "exec_source_dies",
    "exec-request-stranded": "exec_request_stranded",
}
"""The races that a script forces."""

BARRIERS = {
    "state-without-barrier": "state_without_barrier",
    "wait-queue-looks-empty": "wait_queue_looks_empty",
    "message-without-wmb": "message_without_wmb",
    "on-rq-read-early": "on_rq_read_early",
    "on-cpu-read-early": "on_cpu_read_early",
}
"""The races whose sides differ by a memory barrier: a search under a memory model shows them."""

EXHIBITS = FORCED | BARRIERS


def exhibit(name: str) -> Race:
    """A race of the register.  Raises UsageError, with the names there are."""
    if name not in EXHIBITS:
        near = get_close_matches(name, EXHIBITS, 1, 0.4)
        raise UsageError(f"no race {name!r}; " + (f"did you mean {near[0]!r}?  " if near else "")
                         + f"There are {', '.join(EXHIBITS)}, "
                         "or give a file: ./mine.py or ./mine.py:NAME")
    race: Race = importlib.import_module(f"kemu.races.{EXHIBITS[name]}").race
    return race


def find(what: str) -> list[Race]:
    """The races that NAME, FILE or FILE:NAME means.  Raises UsageError."""
    path, _, name = what.partition(":")
    if not path.endswith(".py"):
        return [exhibit(what)]
    there = _races_in(Path(path))
    if not there:
        raise UsageError(f"{path}: no race; make one with kemu.Race(...)")
    races = [race for race in there if name in ("", race.name)]
    if not races:
        raise UsageError(f"{path}: no race named {name!r}; there are "
                         + ", ".join(race.name for race in there))
    return races


def _races_in(path: Path) -> list[Race]:
    from kemu.harness.race import Race
    from kemu.harness.userfile import load_file

    return [thing for thing in vars(load_file(path)).values() if isinstance(thing, Race)]
