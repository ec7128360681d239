"""Put a mutant into this process, and into every machine that it boots.

The mutant is an override (kemu/machine/override.py) and is in effect from the first task on, also
while the machine boots.  If the machine has overrides of its own, all of them come into effect
after the boot, because a race would hit during the boot.  The process itself gets the mutant too,
because some functions, such as the audits, run in the process that holds the machine.

The calls are counted, for each machine and for the process.  If a machine has an override of its
own for that function, the machine keeps its own.

Callers: judge.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from kemu import Machine
from kemu.machine import override
from kemu.machine.override import Override
from tests.mutants.draw import Mutant

HIDDEN = "__mutant_"


class MutantOverride(Override):
    """An override whose replacement is compiled anew in each process, in the kernel's module.

    A replacement that travels by value would have a copy of the module's globals.
    """

    def __init__(self, mutant: Mutant) -> None:
        built = build(mutant.module, mutant.function, mutant.source)
        super().__init__(built.target, built.replacement)
        object.__setattr__(self, "mutant", mutant)

    def __reduce__(self) -> Any:
        mutant = self.mutant        # type: ignore[attr-defined]
        return build, (mutant.module, mutant.function, mutant.source)


def build(module: str, function: str, source: str) -> Override:
    """The override of a function of a kernel module by its mutated source.

    It travels by value, and therefore imports what it needs.
    """
    import __future__
    import importlib
    import inspect
    import textwrap

    from kemu.machine.override import Override

    home = importlib.import_module(module)
    owner, _, name = function.rpartition(".")
    holder = getattr(home, owner) if owner else home
    target = vars(holder)[name]
    target = getattr(target, "__func__", None) or getattr(target, "fget", None) or target
    if owner:                       # compiled in a class of that name, for names such as __x
        source = f"class {owner}:\n" + textwrap.indent(source, "    ")
    scope: dict[str, Any] = {}
    code = compile(source, f"<mutant of {module}.{function}>", "exec",
                   __future__.annotations.compiler_flag, True)
    exec(code, vars(home), scope)
    replacement = vars(scope[owner])[name] if owner else scope[name]
    return Override(inspect.unwrap(target), replacement)


def swap_here(mutant: MutantOverride, calls: list[int]) -> Callable[[], None]:
    """Put the mutant into this process.  Returns what takes it out again."""
    target, whole = mutant.target, mutant.target.__code__

    def counted(*args: Any) -> Any:
        calls[0] += 1
        return mutant.replacement(*args)

    name, taken = target.__name__, ", ".join(inspect.signature(target).parameters)
    target.__globals__[HIDDEN + name] = counted
    scope: dict[str, Any] = {}
    exec(f"def {name}({taken}): return {HIDDEN}{name}({taken})", scope)
    target.__code__ = scope[name].__code__

    def swap_back() -> None:
        target.__code__ = whole

    return swap_back


def put_in_place(mutant: Mutant, count: Callable[[int], None]) -> Callable[[], None]:
    """Give the mutant to this process and to every machine that it boots.

    ``count`` gets the number of calls in each machine, when it is closed.  Returns what takes
    the mutant out again.
    """
    one, here = MutantOverride(mutant), [0]
    whole = Machine.__init__, Machine._boot, Machine.close

    def __init__(self: Machine, *args: Any, overrides: Sequence[Override] = (), **given: Any) -> None:
        self._boots_with_mutant = not overrides     # type: ignore[attr-defined]
        own = [] if any(other.target is one.target for other in overrides) else [one]
        whole[0](self, *args, overrides=[*overrides, *own], **given)

    def _boot(self: Machine, *args: Any) -> None:
        override.arm(self._memory, self._boots_with_mutant)     # type: ignore[attr-defined]
        whole[1](self, *args)

    def close(self: Machine) -> None:
        if self.usable() and "_mutant_told" not in vars(self):
            self._mutant_told = True    # type: ignore[attr-defined]
            count(override.calls_of(one, self._memory))
        whole[2](self)

    swap_back = swap_here(one, here)

    def take_out() -> None:
        swap_back()
        Machine.__init__, Machine._boot, Machine.close = whole      # type: ignore[method-assign]
        count(here[0])

    Machine.__init__, Machine._boot, Machine.close = __init__, _boot, close     # type: ignore
    return take_out
