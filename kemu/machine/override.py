"""Put a pre-fix function in the place of a fixed one, in a CPU process.

The function's ``__code__`` is swapped, so that every holder of the function sees
it, whatever it imported and when.  The new code calls the replacement, which
keeps its own globals: a race's file reads like any other.  Each call is counted
in a shared word, since a side whose override was never called proves nothing.

A machine boots with the fixed functions, whatever is installed: the replacements take
over when it is up (arm()).  Else a race would hit during boot, and tell nothing.

In the user's own process nothing is ever swapped.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from kemu import native
from kemu.errors import UsageError
from kemu.memory import pickler, current_memory

COUNT = "override:"
ARMED = "overrides-armed"
HIDDEN = "__kemu_override_"


@dataclass(frozen=True)
class Override:
    """``replacement`` stands for the function ``name`` of ``module``."""

    module: str
    name: str
    replacement: Callable[..., Any]
    by_value: bool = False          # the function cannot be imported: who loads it installs this

    @property
    def symbol(self) -> str:
        """The name of the shared word that counts its calls."""
        return f"{COUNT}{self.module}.{self.name}"[-native.SYMBOL_NAME + 1:]


def make_override(target: Callable[..., Any], replacement: Callable[..., Any]) -> Override:
    """Check that the one can stand for the other.  Raises UsageError if not."""
    for function in (target, replacement):
        if not isinstance(function, FunctionType):
            raise UsageError(f"override: {function!r:.80} is not a Python function")
    if target.__closure__:
        raise UsageError(f"override: {target.__qualname__} is a closure: nobody else can reach it")
    wanted, given = inspect.signature(target), inspect.signature(replacement)
    if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in wanted.parameters.values()):
        raise UsageError(f"override of {target.__module__}.{target.__qualname__}{wanted}: plain "
                         "parameters only, none after a * and none before a /")
    if _shape(wanted) != _shape(given):
        raise UsageError(f"override of {target.__module__}.{target.__qualname__}{wanted}: "
                         f"{replacement.__qualname__}{given} takes other parameters")
    return Override(target.__module__, target.__qualname__, replacement,
                    pickler.goes_by_value(target.__module__))


def _shape(signature: inspect.Signature) -> list[tuple[str, Any]]:
    return [(p.name, p.kind) for p in signature.parameters.values()]


def _find(override: Override) -> FunctionType:
    """The function to replace, in this process; UsageError if there is none of that name."""
    try:
        found = importlib.import_module(override.module)
        for part in override.name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"override: no function {override.module}.{override.name}") from error
    if not isinstance(found, FunctionType):
        raise UsageError(f"override: {override.module}.{override.name} is no function")
    return found


def install(override: Override, target: FunctionType | None = None) -> None:
    """Put it in place.  Before the first task of the process runs."""
    target = target or _find(override)
    memory = current_memory.get()
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
    exec(compile(source, f"<override of {override.module}>", "exec"), scope)  # noqa: S102
    target.__code__ = scope[target.__name__].__code__


def original_of(target: Callable[..., Any]) -> Callable[..., Any]:
    """What stood there before the override, for one that goes on to call it.  In a CPU process."""
    original: Callable[..., Any] = target.__globals__[HIDDEN + target.__name__].original
    return original


def arm(memory: native.Memory, armed: bool = True) -> None:
    """Whether replacements are called from now on: the machine has booted as the fixed kernel."""
    native.Word(memory, memory.symbol(ARMED)).store(int(armed))


def calls_of(override: Override, memory: native.Memory) -> int:
    """How often the override was called in that machine."""
    return native.Word(memory, memory.symbol(override.symbol)).load()
