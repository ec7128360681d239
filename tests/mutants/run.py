"""Judge a mutant by the tests that reach it, and say what became of it.

    killed        a test failed with it, twice, and passes without it
    survived      every test that reaches its statement passed
    not called    no test reaches its statement, or it runs only before it can be put in place
    undecided     the time was up before every test had run

The tests run one after another, the shortest first, in a fork of a server that has collected them
(judge).  The test that fails runs again: under the control (draw.control), where it must pass, and
with the mutant, where it must fail.  If it does not, a loaded machine may be the cause, so the
judgement calls the test unsure and goes on with the next one.

Locks: none.  Callers: __main__, test_mutants.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants.client import Answer, Bench
from tests.mutants.draw import Mutant, control
from tests.mutants.modules import ROOT
from tests.mutants.survey import Survey

KILLED, SURVIVED, NOT_CALLED, UNDECIDED = "killed", "survived", "not called", "undecided"
SUITE, EXHIBITS = SIDES = "suite", "exhibits"
ROOMS = ("kernel", "races", "harness", "torture", "machine", "explore", "trace", "cli", "latency")
TIMES_SLOWER, MORE_SECONDS = 6, 20      # what a test may take, beyond what it took in the survey
AGAIN = 3                               # how often a test that failed runs again, until it fails


def files_of(side: str) -> list[str]:
    """The test files that judge on a side, as paths from the root of the tree."""
    if side == EXHIBITS:
        return ["tests/mutants/exhibits.py"]
    return [str(path.relative_to(ROOT)) for room in ROOMS
            for path in sorted((ROOT / "tests" / room).glob("test_*.py"))]


@dataclass(frozen=True)
class Judgement:
    """What became of a mutant on one side.

    ``by``: the test that killed it, and whether it did so by taking too long.  ``ran``: how many
    tests passed.  ``calls``: how often they called the function.  ``unsure``: the tests that failed
    and then did not, or without the mutant too.
    """

    verdict: str
    by: str = ""
    seconds: float = 0
    ran: int = 0
    calls: int = 0
    unsure: tuple[str, ...] = ()


class Judge:
    """A bench with the survey of its tests."""

    def __init__(self, bench: Bench, survey: Survey) -> None:
        self.bench, self.survey = bench, survey

    def limit(self, test: str) -> float:
        return MORE_SECONDS + TIMES_SLOWER * self.survey.seconds[test]

    def run(self, mutant: Mutant, tests: Sequence[str]) -> Answer:
        return self.bench.run(mutant, [(test, self.limit(test)) for test in tests])

    def judge(self, mutant: Mutant, budget: float, begun: Judgement | None = None) -> Judgement:
        """Run tests that took ``budget`` seconds in the survey; go on where ``begun`` ended."""
        began, every = time.monotonic(), self.survey.tests_of(mutant)
        if not every:
            return Judgement(NOT_CALLED)
        unsure = list(begun.unsure) if begun else []
        ran, calls = (begun.ran, begun.calls) if begun else (0, 0)
        before = begun.seconds if begun else 0.0
        last = self._within(every, budget)
        while ran < last:
            answer = self.run(mutant, every[ran:last])
            ran += sum(not one["failed"] for one in answer.over)
            calls += answer.calls
            if not answer.failed:
                break
            if self._confirmed(mutant, answer.failed):
                by = answer.failed + (" (takes too long)" if answer.late else "")
                return Judgement(KILLED, by, before + time.monotonic() - began, ran, calls,
                                 tuple(unsure))
            unsure.append(answer.failed)
            ran += 1
        verdict = UNDECIDED if ran < len(every) else SURVIVED if calls else NOT_CALLED
        return Judgement(verdict, "", before + time.monotonic() - began, ran, calls, tuple(unsure))

    def _within(self, tests: Sequence[str], budget: float) -> int:
        """How many of the tests are within the budget; at least one."""
        spent = 0.0
        for number, test in enumerate(tests):
            spent += self.survey.seconds[test]
            if spent > budget:
                return max(number, 1)
        return len(tests)

    def _confirmed(self, mutant: Mutant, test: str) -> bool:
        """Whether the test passes with the function unchanged, and fails with the mutant again."""
        if self.run(control(mutant.module, mutant.function), [test]).failed:
            return False
        return any(self.run(mutant, [test]).failed for _ in range(AGAIN))
