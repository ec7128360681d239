"""A per-CPU thread that never has anything to do: the subject of several exhibits."""

from __future__ import annotations

from typing import Any

from kemu.kernel.smpboot import SmpHotplugThread


def _nothing_to_do(cpu: int) -> bool:
    return False


def _never_called(cpu: int) -> None:
    pass


def idle_thread(comm: str, **options: Any) -> SmpHotplugThread:
    """The descriptor of one; options as SmpHotplugThread's."""
    return SmpHotplugThread(comm, _nothing_to_do, _never_called, **options)
