"""Machines for tests, and the check that none of them leaves anything behind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from kemu import Machine
from tests import leaks

Boot = Callable[..., Machine]
failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Remember that a test failed: its traceback then keeps what it had."""
    report = yield
    item.stash[failed] = item.stash.get(failed, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test there is no more of anything than before."""
    before, helper_before = leaks.snapshot(), leaks.helper_snapshot()
    yield
    if request.node.stash.get(failed, False):
        return
    leaked = leaks.leaked_since(before, helper_before)
    if leaked:
        pytest.fail("the test left behind:\n  " + "\n  ".join(sorted(leaked)), pytrace=False)


@pytest.fixture
def machine(nothing_leaks: None) -> Iterator[Boot]:
    """Boot machines, which are closed when the test ends: ``m = machine(cpus=3)``."""
    booted: list[Machine] = []

    def boot(cpus: int = 2, **options: Any) -> Machine:
        booted.append(Machine(cpus, **options))
        return booted[-1]

    yield boot
    while booted:
        booted.pop().close()
