"""The score of the tests: how many small changes of the kernel they notice.

    python -m tests.mutants --count 300 --seed 1

draws that many mutants of kemu/kernel with a seed.  It judges each one twice, by the tests that
touch its module, and by torture and the exhibits alone.  It prints a line for each mutant, the
score by module, and every mutant that survived.

Each judgement is written to the results file at once.  Ctrl-C ends the run and keeps them; the
same command then goes on with what is missing.  Exit status: 0; 130 after Ctrl-C.

Callers: make mutants.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutants.draw import ROOT, Mutant, draw, modules
from tests.mutants.run import EXHIBIT, JUDGES, KILLED, NOT_CALLED, SUITE, SURVIVED

HOUSE = "kemu.kernel."
Judged = dict[tuple[str, str], dict[str, Any]]      # by mutant and side


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="how many mutants to draw (300)")
    parser.add_argument("--seed", type=int, default=1, help="for the draw (1)")
    parser.add_argument("--side", choices=[*JUDGES, "both"], default="both", help="who judges (both)")
    parser.add_argument("--results", type=Path, help="the results file (build/mutants-SEED.jsonl)")
    parser.add_argument("--json", type=Path, help="write the score as one JSON object; - is standard output")
    given = parser.parse_args(arguments)
    given.results = given.results or ROOT / f"build/mutants-{given.seed}.jsonl"
    return given


def read(results: Path) -> Judged:
    """What a former run has judged.  Raises ValueError if the file holds anything else."""
    lines = results.read_text().splitlines() if results.exists() else []
    found = [json.loads(line) for line in lines]
    return {(one["name"] + one["source"], one["side"]): one for one in found}


def judge(given: argparse.Namespace, drawn: list[Mutant], judged: Judged) -> None:
    """Judge what is not judged yet; write each judgement as soon as it is there."""
    given.results.parent.mkdir(parents=True, exist_ok=True)
    sides = list(JUDGES) if given.side == "both" else [given.side]
    for number, mutant in enumerate(drawn, 1):
        for side in sides:
            key = mutant.name + mutant.source, side
            if key not in judged:
                judgement = JUDGES[side](mutant)
                judged[key] = {"name": mutant.name, "side": side, "module": mutant.module,
                               "source": mutant.source, **asdict(judgement)}
                with given.results.open("a") as out:
                    out.write(json.dumps(judged[key]) + "\n")
            one = judged[key]
            print(f"{number} of {len(drawn)}  {side:<8}  {one['verdict']:<10}  {mutant.name}"
                  + (f"\n    by {one['by']}" if one["by"] else ""), file=sys.stderr, flush=True)


def score(drawn: list[Mutant], judged: Judged) -> dict[str, dict[str, Counter[str]]]:
    """How many mutants of each module have which verdict, for each side; "all" is the sum."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for mutant in drawn:
        for side in JUDGES:
            one = judged.get((mutant.name + mutant.source, side))
            for module in (mutant.module.removeprefix(HOUSE), "all") if one else ():
                counted.setdefault(module, {name: Counter() for name in JUDGES})
                counted[module][side][one["verdict"]] += 1      # type: ignore[index]
    return counted


def told(verdicts: Counter[str]) -> str:
    """The columns of one side: killed, survived, not called, and the score among the called."""
    called = verdicts[KILLED] + verdicts[SURVIVED]
    share = f"{100 * verdicts[KILLED] / called:5.0f} %" if called else "      -"
    return f"{verdicts[KILLED]:>8}{verdicts[SURVIVED]:>10}{verdicts[NOT_CALLED]:>12}{share}"


def summary(drawn: list[Mutant], judged: Judged) -> str:
    """The table by module, and every mutant that was not killed."""
    head = f"{'killed':>8}{'survived':>10}{'not called':>12}  score"
    lines = [f"{'':<24}{'by the suite':^37}   {'by exhibits and torture alone':^37}",
             f"{'module':<24}{head}   {head}"]
    counted = score(drawn, judged)
    for module in [name.removeprefix(HOUSE) for name in modules()] + ["all"]:
        if module in counted:
            lines.append(f"{module:<24}{told(counted[module][SUITE])}   {told(counted[module][EXHIBIT])}")
    for verdict in (SURVIVED, NOT_CALLED):
        for side in JUDGES:
            names = [mutant.name for mutant in drawn
                     if judged.get((mutant.name + mutant.source, side), {}).get("verdict") == verdict]
            if names:
                lines += ["", f"{side}: {verdict}", *(f"  {name}" for name in names)]
    unsure = sorted({test for one in judged.values() for test in one["unsure"]})
    if unsure:
        lines += ["", "failed with the function unchanged too, and therefore left out",
                  *(f"  {test}" for test in unsure)]
    return "\n".join(lines)


def write_json(given: argparse.Namespace, drawn: list[Mutant], judged: Judged) -> None:
    mutants = [one for mutant in drawn for side in JUDGES
               if (one := judged.get((mutant.name + mutant.source, side)))]
    text = json.dumps({"count": given.count, "seed": given.seed, "score": score(drawn, judged),
                       "mutants": mutants}, indent=1)
    if str(given.json) == "-":
        print(text)
    else:
        given.json.write_text(text + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    drawn, judged = draw(given.count, given.seed), read(given.results)
    status = 0
    try:
        judge(given, drawn, judged)
    except KeyboardInterrupt:
        status = 130
        print(f"ended by Ctrl-C; the same command goes on from {given.results}", file=sys.stderr)
    if str(given.json) != "-":
        print(summary(drawn, judged))
    if given.json:
        write_json(given, drawn, judged)
    return status


if __name__ == "__main__":
    sys.exit(main())
