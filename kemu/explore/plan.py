"""Plan: what a controlled trial is to do.

A trial is the list of its choices: at each step at which two things could happen next, the
number of the one that did (alternative).  A plan is the beginning of such a list, and the rule that
decides when the list is used up (native/hardware/rule.c).

Locks: none; a plan is immutable.  Callers: strategy, exhaustive, table, referee, replay, minimise.
"""

from __future__ import annotations

from dataclasses import dataclass

from kemu import native
from kemu.errors import UsageError

RULES = {"stay": native.RULE_STAY, "random": native.RULE_RANDOM, "pct": native.RULE_PCT}
MAX_STEPS = 29_000      # of a trial; one that takes more does not end


@dataclass(frozen=True)
class Plan:
    """``choices``: alternatives, one byte each.  ``rule``: "stay", "random" or "pct" after that.

    ``seed``: of "random", and of what "pct" draws (rule.c).  ``priorities``: for "pct", of each
    alternative; above MAX_CHANGES, a higher one goes first, and one that is not given is the lowest.
    ``changes``: the choices at which what would happen next gets a priority below all others; the
    later in the tuple, the higher.  ``irqs``: whether a CPU may take an interrupt or a reschedule
    before it must; ``ticks``: whether a timer may expire while a CPU can go on.

    Raises UsageError for what the table has no room for.
    """

    choices: bytes = b""
    rule: str = "stay"
    seed: int = 0
    priorities: tuple[int, ...] = ()
    changes: tuple[int, ...] = ()
    irqs: bool = False
    ticks: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"rule={self.rule!r}: one of {', '.join(RULES)}")
        if len(self.choices) > native.MAX_PLANNED:
            raise UsageError(f"{len(self.choices):,} choices: a plan has at most "
                             f"{native.MAX_PLANNED:,}")
        if len(self.changes) > native.MAX_CHANGES:
            raise UsageError(f"{len(self.changes)} changes of priority: a plan has at most "
                             f"{native.MAX_CHANGES}; ask for a smaller depth")
