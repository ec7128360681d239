"""A call from a lower module to a higher one, which imports the lower one and binds the call.

The lower module cannot import what it calls.  A room declares its hooks on one page; the
kernel's are in kemu.kernel.own.wiring.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from kemu.errors import UnboundHook

P = ParamSpec("P")
R = TypeVar("R")


class Hook(Generic[P, R]):
    """Calls the function that bind() was given last.  Each process has its own binding."""

    def __init__(self, name: str, bound_by: str) -> None:
        self.name = name
        self.bound_by = bound_by
        self._function: Callable[P, R] | None = None

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Have the hook call the function.  Also a decorator: returns the function."""
        self._function = function
        return function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Raises UnboundHook if nothing has bound the hook in this process."""
        if self._function is None:
            raise UnboundHook(f"the hook {self.name} was called and nothing is bound to it: "
                              f"{self.bound_by} must bind it first")
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<hook {self.name}, {'bound' if self._function else 'not bound'}>"
