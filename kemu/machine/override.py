"""Put another function in the place of a kernel function, in a CPU process.

``install()`` swaps the ``__code__`` of the replaced function.  Every holder of the function
therefore sees the replacement, whatever it imported and when.  The new code calls the
replacement, which keeps its own globals, so that a race's file reads like any other file.
A shared word counts the calls, because a side whose override was never called proves nothing.

A machine boots with the functions that the tree has.  ``arm()`` puts the replacements into
effect when the machine is up.  Otherwise a race would hit during boot, and show nothing.

In the user's own process nothing is ever swapped: ``programme.load()`` installs overrides in
CPU processes only.

Linux: none; kemu's own.
Locks: none.  Callers: programme, machine, harness.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

from kemu import native
from kemu.errors import UsageError
from kemu.memory import current_memory

COUNT = "override:"
ARMED = "overrides-armed"
HIDDEN = "__kemu_override_"


@dataclass(frozen=True)
class Override:
    """``replacement`` stands in the place of ``target``, in the CPU processes of one machine."""

    target: FunctionType
    replacement: Callable[..., Any]

    @property
    def name(self) -> str:
        """The replaced function's module and name."""
        return f"{self.target.__module__}.{self.target.__qualname__}"

    @property
    def symbol(self) -> str:
        """The name of the shared word that counts the calls."""
        return f"{COUNT}{self.name}"[-native.SYMBOL_NAME + 1:]


def make_override(target: Callable[..., Any], replacement: Callable[..., Any]) -> Override:
    """Check that ``replacement`` can stand for ``target``.  Raises UsageError if it cannot."""
    for function in (target, replacement):
        if not isinstance(function, FunctionType):
            raise UsageError(f"override: {function!r:.80} is not a Python function")
    if target.__closure__:
        raise UsageError(f"override: {target.__qualname__} is a closure: no other "
                         "module can reach it.  Name a function of a module")
    wanted, given = inspect.signature(target), inspect.signature(replacement)
    if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in wanted.parameters.values()):
        raise UsageError(f"override of {target.__module__}.{target.__qualname__}{wanted}: plain "
                         "parameters only, none after a * and none before a /")
    if _shape(wanted) != _shape(given):
        raise UsageError(f"override of {target.__module__}.{target.__qualname__}{wanted}: "
                         f"{replacement.__qualname__}{given} takes other parameters")
    return Override(cast(FunctionType, target), replacement)


def _shape(signature: inspect.Signature) -> list[tuple[str, Any]]:
    return [(p.name, p.kind) for p in signature.parameters.values()]


def install(override: Override) -> None:
    """Put the replacement in place.  Called in a CPU process, before its first task runs."""
    target, memory = override.target, current_memory.get()
    calls = native.Word(memory, memory.symbol(override.symbol))
    replacement = override.replacement

    armed = native.Word(memory, memory.symbol(ARMED))
    original = FunctionType(target.__code__, target.__globals__, target.__name__,
                            target.__defaults__)

    def counted(*args: Any, **kwargs: Any) -> Any:
        if not armed.load():
            return original(*args, **kwargs)
        calls.add(1)
        return replacement(*args, **kwargs)

    hidden = HIDDEN + target.__name__
    counted.original = original     # type: ignore[attr-defined]
    target.__globals__[hidden] = counted
    names = list(inspect.signature(target).parameters)
    source = f"def {target.__name__}({', '.join(names)}): return {hidden}({', '.join(names)})"
    scope: dict[str, Any] = {}
    exec(compile(source, f"<override of {override.name}>", "exec"), scope)  # noqa: S102
    target.__code__ = scope[target.__name__].__code__


def original_of(target: Callable[..., Any]) -> Callable[..., Any]:
    """The replaced function, for a replacement that calls it.  Called in a CPU process."""
    original: Callable[..., Any] = target.__globals__[HIDDEN + target.__name__].original
    return original


def arm(memory: native.Memory, armed: bool = True) -> None:
    """Have calls go to the replacements from now on, or to the replaced functions if not ``armed``."""
    native.Word(memory, memory.symbol(ARMED)).store(int(armed))


def calls_of(override: Override, memory: native.Memory) -> int:
    """How often tasks called the override in that machine."""
    return native.Word(memory, memory.symbol(override.symbol)).load()
