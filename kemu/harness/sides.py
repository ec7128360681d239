"""The sides of a race: for each, which functions stand in the kernel, and what is expected.

A side is a kernel as it was at one time.  ``before`` is expected to hit and ``after`` to be
clean.  ``after`` is the kernel as it is in kemu, or with another fix.  A race through several releases
names the others: ``race.variant("3.8")``.

    @race.before(target)                    on side "before"
    @race.after(target)                     on side "after"
    v38 = race.variant("3.8", expect="hit")
    @v38.replaces(target)                   on side "3.8"

Linux: none; kemu's own.
Locks: none.  Callers: race.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kemu.machine.override import Override, make_override

F = TypeVar("F", bound=Callable[..., Any])

BEFORE, AFTER = "before", "after"
HIT, CLEAN = "hit", "clean"


@dataclass
class Variant:
    """One side of a race.

    ``expect``: HIT or CLEAN.  ``expects``: the part of a panic's text that is the hit.
    ``origin``: what this kernel is: a release, a mutation, a composite of several.
    """

    name: str
    expect: str
    expects: str = ""
    origin: str = ""
    overrides: list[Override] = field(default_factory=list)

    def replaces(self, target: Callable[..., Any]) -> Callable[[F], F]:
        """Decorator: on this side the function stands in the place of ``target``.

        It takes the same parameters.  Raises UsageError if it does not.
        """
        def put(function: F) -> F:
            self.overrides.append(make_override(target, function))
            return function
        return put
