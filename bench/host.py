"""What a run was measured on, and pinning to a core of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from kemu.machine import host
from kemu.machine.placement import usable_cores

BUSY_SECONDS = 0.5


def describe() -> dict[str, Any]:
    """Versions, the host, and how busy it was."""
    return {**host.describe(), "busy_percent": busy_percent()}


def busy_percent() -> float:
    """How much of the host's cores other programs use, at this moment."""
    return float(psutil.cpu_percent(BUSY_SECONDS))


def headline(host: dict[str, Any]) -> str:
    """The same, on two lines."""
    load = " ".join(f"{value:.2f}" for value in host["load_average"])
    return (f"kemu {host['kemu']}, Python {host['python']}, {host['kernel']} {host['machine']}\n"
            f"{host['cpu_model']}, {len(host['usable_cores'])} of {host['host_cores']} cores usable, "
            f"load average {load}, others use {host['busy_percent']:.0f} %")


def two_cores() -> tuple[int, int] | None:
    """Two host cores, physical ones if there are; None if this process may use only one."""
    cores = usable_cores()
    return (cores[0], cores[1]) if len(cores) > 1 else None


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """The calling thread on that core, for a block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
