"""Machines that are audited before they are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kemu import Machine


@pytest.fixture
def machine(machine: Callable[..., Machine]) -> Iterator[Callable[..., Machine]]:
    """As the outer fixture; a machine that still runs must keep the scheduler's invariants."""
    booted: list[Machine] = []

    def boot(cpus: int = 2, **options: Any) -> Machine:
        booted.append(machine(cpus, **options))
        return booted[-1]

    yield boot
    while booted:
        m = booted.pop()
        if not m._inbox.failure:
            m.audit()
