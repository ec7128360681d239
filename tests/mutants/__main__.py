"""The score of the tests: how many small changes of the kernel they notice.

    python -m tests.mutants --count 300 --seed 1

draws that many mutants of kemu/kernel with a seed.  It judges each one twice, by the tests that
reach it, and by torture and the exhibits alone.  It prints a line for each judgement, the score by
module, and every mutant that survived.

First it makes a survey of the tests, which takes as long as the tests do, and keeps it.  Each
judgement is written to the results file at once.  Ctrl-C ends the run and keeps both; the same
command then goes on with what is missing.  Any first part of the draw is a fair sample, so a run
with a smaller --count says less exactly the same.  With --budget a mutant that is alive after tests
of so many seconds is undecided; a run with a larger budget goes on with it.

Exit status: 0; 130 after Ctrl-C.

Callers: make mutants.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.mutants.client import Bench
from tests.mutants.draw import Mutant, draw
from tests.mutants.modules import ROOT
from tests.mutants.run import SIDES, UNDECIDED, Judge, Judgement, files_of
from tests.mutants.score import Judged, score, summary
from tests.mutants.survey import Survey, survey


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="how many mutants to draw (300)")
    parser.add_argument("--seed", type=int, default=1, help="for the draw (1)")
    parser.add_argument("--side", choices=[*SIDES, "both"], default="both", help="who judges (both)")
    parser.add_argument("--budget", type=float, default=float("inf"),
                        help="seconds of tests for each mutant (no limit)")
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants side by side (1)")
    parser.add_argument("--results", type=Path, help="the results file (build/mutants-SEED.jsonl)")
    parser.add_argument("--json", type=Path, help="write the score as one JSON object; - is standard output")
    given = parser.parse_args(arguments)
    given.results = given.results or ROOT / f"build/mutants-{given.seed}.jsonl"
    given.sides = SIDES if given.side == "both" else (given.side,)
    return given


def read(results: Path) -> Judged:
    """What former runs have judged.  Raises ValueError if the file holds anything else."""
    lines = results.read_text().splitlines() if results.exists() else []
    found = [json.loads(line) for line in lines]
    return {(one["name"] + one["source"], one["side"]): one for one in found}


class Run:
    """Judges what is not judged yet, some side by side, and writes each judgement as it is there."""

    def __init__(self, given: argparse.Namespace, drawn: list[Mutant], judged: Judged) -> None:
        self.given, self.judged = given, judged
        given.results.parent.mkdir(parents=True, exist_ok=True)
        self.surveys: dict[str, Survey] = {
            side: survey(given.results.parent / f"survey-{side}.json", files_of(side), given.jobs)
            for side in given.sides}
        self.todo: queue.SimpleQueue[tuple[str, Mutant, str]] = queue.SimpleQueue()
        for number, mutant in enumerate(drawn, 1):
            for side in given.sides:
                if self.is_open(mutant, side):
                    self.todo.put((f"{number} of {len(drawn)}", mutant, side))
        self.writing = threading.Lock()
        self.failed: list[BaseException] = []

    def is_open(self, mutant: Mutant, side: str) -> bool:
        """Whether it is not judged, or a larger budget may decide it."""
        one = self.judged.get((mutant.key, side))
        return one is None or (one["verdict"] == UNDECIDED and one["budget"] < self.given.budget)

    def all(self) -> None:
        """Judge everything.  Raises KeyboardInterrupt after Ctrl-C, with all servers ended."""
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(self.given.jobs)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except KeyboardInterrupt:
            while not self.todo.empty():
                self.todo.get()
            raise
        if self.failed:
            raise self.failed[0]

    def work(self) -> None:
        judges: dict[str, Judge] = {}
        try:
            while not self.todo.empty():
                number, mutant, side = self.todo.get()
                if side not in judges:
                    judges[side] = Judge(Bench(files_of(side)), self.surveys[side])
                self.note(number, mutant, side, judges[side])
        except BaseException as error:
            self.failed.append(error)
        finally:
            for judge in judges.values():
                judge.bench.close()

    def note(self, number: str, mutant: Mutant, side: str, judge: Judge) -> None:
        key = mutant.key, side
        known = self.judged.get(key)
        begun = Judgement(**{name: known[name] for name in Judgement.__match_args__}) if known else None
        judgement = judge.judge(mutant, self.given.budget, begun)
        with self.writing:
            self.judged[key] = {"name": mutant.name, "side": side, "module": mutant.module,
                                "source": mutant.source, "budget": self.given.budget, **asdict(judgement)}
            with self.given.results.open("a") as out:
                out.write(json.dumps(self.judged[key]) + "\n")
            print(f"{number}  {side:<8}  {judgement.verdict:<10}  {mutant.name}"
                  + (f"\n    by {judgement.by}" if judgement.by else ""), file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    drawn, judged = draw(given.count, given.seed), read(given.results)
    status = 0
    try:
        Run(given, drawn, judged).all()
    except KeyboardInterrupt:
        status = 130
        print(f"ended by Ctrl-C; the same command goes on from {given.results}", file=sys.stderr)
    if str(given.json) != "-":
        print(summary(drawn, judged))
    if given.json:
        write_json(given, drawn, judged)
    return status


def write_json(given: argparse.Namespace, drawn: list[Mutant], judged: Judged) -> None:
    mutants = [one for mutant in drawn for side in SIDES if (one := judged.get((mutant.key, side)))]
    text = json.dumps({"count": given.count, "seed": given.seed, "score": score(drawn, judged),
                       "mutants": mutants}, indent=1)
    if str(given.json) == "-":
        print(text)
    else:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
