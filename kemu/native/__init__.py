"""The hardware: shared words, turns, bells, spinlocks, the gate, the trace rings.

Written in C (see the heads of its files for the protocols); no kernel policy
lives here.  Everything Python may call is typed in ``_hardware.pyi``.
"""

from __future__ import annotations

try:
    from kemu.native._hardware import *  # noqa: F403
except ModuleNotFoundError as error:  # pragma: no cover - only without a compiler
    raise ImportError(
        "kemu's C extension is not built: run `make build`, or `pip install .`"
    ) from error
from kemu.native import _hardware

__all__ = [name for name in dir(_hardware) if not name.startswith("_")]
