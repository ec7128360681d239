"""The score by module, and what is alive, with the explanation of each (explained).

Callers: __main__.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.mutants.draw import Mutant
from tests.mutants.explained import explanation
from tests.mutants.modules import modules
from tests.mutants.run import EXHIBITS, KILLED, NOT_CALLED, SIDES, SUITE, SURVIVED, UNDECIDED

HOUSE = "kemu.kernel."
Judged = dict[tuple[str, str], dict[str, Any]]      # by the mutant's key and the side


def score(drawn: list[Mutant], judged: Judged) -> dict[str, dict[str, Counter[str]]]:
    """How many mutants of each module have which verdict, for each side; "all" is the sum."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for mutant in drawn:
        for side in SIDES:
            one = judged.get((mutant.key, side))
            for module in (mutant.module.removeprefix(HOUSE), "all") if one else ():
                counted.setdefault(module, {name: Counter() for name in SIDES})
                counted[module][side][one["verdict"]] += 1      # type: ignore[index]
    return counted


def columns(verdicts: Counter[str]) -> str:
    """The columns of one side: killed, survived, not called, undecided, and the killed of all."""
    every = sum(verdicts.values())
    share = f"{100 * verdicts[KILLED] / every:5.0f} %" if every else "      -"
    return "".join(f"{verdicts[what]:>{width}}" for what, width in (
        (KILLED, 8), (SURVIVED, 10), (NOT_CALLED, 12), (UNDECIDED, 11))) + share


def summary(drawn: list[Mutant], judged: Judged) -> str:
    """The table by module, and every mutant that was not killed."""
    head = f"{'killed':>8}{'survived':>10}{'not called':>12}{'undecided':>11}  score"
    lines = [f"{'':<24}{'by the suite':^48}   {'by exhibits and torture alone':^48}",
             f"{'module':<24}{head}   {head}"]
    counted = score(drawn, judged)
    for module in [name.removeprefix(HOUSE) for name in modules()] + ["all"]:
        if module in counted:
            both = counted[module]
            lines.append(f"{module:<24}{columns(both[SUITE])}   {columns(both[EXHIBITS])}")
    for side in SIDES:
        for verdict in (SURVIVED, NOT_CALLED, UNDECIDED):
            alive = [mutant for mutant in drawn
                     if judged.get((mutant.key, side), {}).get("verdict") == verdict]
            if alive:
                lines += ["", f"{side}: {verdict}", *map(_line, alive)]
    unsure = sorted({test for one in judged.values() for test in one["unsure"]})
    if unsure:
        lines += ["", "failed once, and then not again, or with the function unchanged too",
                  *(f"  {test}" for test in unsure)]
    return "\n".join(lines)


def _line(mutant: Mutant) -> str:
    why = explanation(mutant)
    return f"  {mutant.name}" + (f"\n      {why}" if why else "")
