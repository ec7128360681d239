"""What may happen next at a choice: a number of one byte, and its text in a schedule file.

    1           CPU 1 goes on
    irq1        CPU 1 first takes what is due: interrupts, a reschedule, a timer
    drain1      a store leaves the store buffer of CPU 1
    value2      of a load, the second older value; value1 of a store: it goes into the buffer

native/hardware/chooser.h says what each means, and which words of a step say what was offered.

Locks: none.  Callers: exhaustive, minimise, schedule.
"""

from __future__ import annotations

import re
from typing import Protocol

from kemu import native

KINDS = {native.ALT_CPU: "", native.ALT_IRQ: "irq", native.ALT_DRAIN: "drain",
         native.ALT_VALUE: "value"}
_KIND = {name: kind for kind, name in KINDS.items()}
_FORM = re.compile(f"({'|'.join(_KIND)})([0-9]{{1,2}})")
WHICH = native.ALT_IRQ - 1      # the bits that say which CPU, or which value


class Choice(Protocol):
    """The words of a step that say what was offered and what was taken."""

    @property
    def alt(self) -> int: ...
    @property
    def enabled(self) -> int: ...
    @property
    def due(self) -> int: ...
    @property
    def drains(self) -> int: ...
    @property
    def values(self) -> int: ...
    @property
    def before(self) -> int: ...


def text_of(alt: int) -> str:
    """The alternative, as a schedule file has it."""
    return f"{KINDS[alt & ~WHICH]}{alt & WHICH}"


def parse(text: str) -> int | None:
    """The alternative of the text; None if it is not one."""
    found = _FORM.fullmatch(text)
    if not found or int(found[2]) >= native.MAX_CPUS:
        return None
    return _KIND[found[1]] + int(found[2])


def offered(choice: Choice) -> list[int]:
    """All alternatives of a choice."""
    if choice.values:
        return [native.ALT_VALUE + n for n in range(choice.values)]
    return [kind + cpu for kind, mask in ((native.ALT_CPU, choice.enabled),
                                          (native.ALT_IRQ, choice.due),
                                          (native.ALT_DRAIN, choice.drains)) for cpu in _bits(mask)]


def preempts(choice: Choice, alt: int) -> bool:
    """Whether this alternative would be a preemption: the CPU that had run could have gone on.

    Under a memory model these count too, so that a bound of preemptions bounds the reorderings:
    a store that is kept in the buffer, one that leaves it while a CPU could go on, and a load of an
    older value.
    """
    if choice.values:
        return alt != native.ALT_VALUE
    if alt >= native.ALT_DRAIN:
        return choice.enabled != 0
    return bool(alt != choice.before and choice.enabled >> choice.before & 1)


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
