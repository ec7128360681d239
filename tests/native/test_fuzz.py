"""The short form of `make fuzz`: garbage in native calls, from two threads or tasks at once."""

from __future__ import annotations

import pytest

from tests.native import fuzz


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_garbage_ends_in_results_and_typed_errors(kind):
    """No crash, no hang, no SystemError."""
    assert fuzz.run_child(kind, seed=7, count=2000) == ""


def test_a_crash_a_hang_and_a_system_error_are_failures(monkeypatch):
    """A child that ends in one of these ways is distinguished from a child that ends well."""
    assert "status" in fuzz.run_child("no such kind", seed=1, count=2)
    monkeypatch.setattr(fuzz, "CHILD_SECONDS", 0.01)
    assert "did not end" in fuzz.run_child("threads", seed=1, count=100)
