"""An outcome as JSON: what ran, on what, and what each side counted."""

from __future__ import annotations

import json
import platform
from typing import Any

import kemu
from kemu.harness.race import Race
from kemu.harness.side_run import placement_of
from kemu.harness.verdict import Outcome
from kemu.machine.host import cpu_model

SCHEMA = 2


def as_json(race: Race, outcome: Outcome, cpus: int | None) -> str:
    """One object on one line.  cpus: how many were asked for; None if the race chose."""
    said: dict[str, Any] = {
        "schema": SCHEMA, "race": race.name, "how": outcome.how, "seed": outcome.seed,
        "kemu": kemu.__version__, "code": race.code_hash(), "python": platform.python_version(),
        "kernel": platform.release(), "cpu_model": cpu_model(),
        "placement": placement_of(race, max(race.cpus, cpus or 0)),
        "sides": {name: side.as_json() for name, side in outcome.sides.items()},
    }
    return json.dumps(said)
