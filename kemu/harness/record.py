"""An outcome as JSON: what ran, on what, and what each side counted."""

from __future__ import annotations

import json
import platform
from typing import Any

import kemu
from kemu.harness.race import Race
from kemu.harness.verdict import Outcome
from kemu.machine.host import cpu_model

SCHEMA = 2


def as_json(race: Race, outcome: Outcome) -> str:
    """The outcome as one object, on one line."""
    said: dict[str, Any] = {
        "schema": SCHEMA, "race": race.name, "how": outcome.how, "seed": outcome.seed,
        "kemu": kemu.__version__, "code": race.code_hash(), "python": platform.python_version(),
        "kernel": platform.release(), "cpu_model": cpu_model(),
        "placement": next(side.placement for side in outcome.sides.values()),
        "sides": {name: side.as_json() for name, side in outcome.sides.items()},
    }
    return json.dumps(said)
