"""Mutants that do nothing wrong, and why: no test can kill them.

A mutant is named by its module, its function and its change, without the line, so that the
explanation stays when the lines above it change.

Callers: score, test_mutants.
"""

from __future__ import annotations

from tests.mutants.draw import Mutant

EQUIVALENT: dict[tuple[str, str, str], str] = {}


def explanation(mutant: Mutant) -> str:
    """Why the mutant is the function as it is; "" if that is not known."""
    return EQUIVALENT.get((mutant.module, mutant.function, mutant.change), "")
