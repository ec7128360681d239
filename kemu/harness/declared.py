"""What a race file declares, and the checks that refuse a mistake where it is written.

Linux: none; kemu's own.
Locks: none.  Callers: race.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from kemu.errors import UsageError, refuse, shown

if TYPE_CHECKING:
    from kemu.harness.trial import Trial

Step = Callable[["Trial"], Any]


@dataclass(frozen=True)
class Actor:
    """A task that runs a function once per trial."""

    name: str
    cpu: int
    function: Step


@dataclass(frozen=True)
class Witness:
    """A state that a trial must have shown in order to count."""

    name: str
    meaning: str
    sides: tuple[str, ...] = ()     # empty: on all


def check_placement(name: str, cpus: int, placement: object) -> None:
    """Raise UsageError if it is not a list with a core for each CPU."""
    if isinstance(placement, str | bytes) or not isinstance(placement, Sequence) \
            or not all(isinstance(core, int) for core in placement):
        raise refuse("placement", placement, f"for race {name}, a list with the number of a core "
                     "for each CPU")
    if len(placement) != cpus:
        raise UsageError(f"race {name}: placement is for {len(placement)} CPUs, not {cpus}")


def check_step(race: str, what: str, function: object) -> None:
    """Raise UsageError if the function cannot run as a step: one that takes the trial."""
    if not isinstance(function, FunctionType):
        raise UsageError(f"race {race}: {what} {shown(function)} is not a Python function")
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function) \
            or inspect.isasyncgenfunction(function):
        raise UsageError(f"race {race}: {what} {function.__name__} is a generator or a coroutine, "
                         "and a call of it would run nothing: write a plain function")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise UsageError(f"race {race}: {what} {function.__name__}{inspect.signature(function)}: "
                         "it is called with one argument, the trial") from error


def text_of_code(code: CodeType) -> str:
    """All that a function does, in words that are the same in every run."""
    consts = [text_of_code(const) if isinstance(const, CodeType)
              else repr(sorted(map(repr, const))) if isinstance(const, frozenset)
              else repr(const) for const in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, consts))
