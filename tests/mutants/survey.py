"""Which tests reach which statement of the kernel, and how long each test takes.

The survey runs every test once, with the kernel as it is, and records what it reaches (reached).
It is kept in a file, a line for each test file.  If a module of the kernel has changed, everything
is recorded anew; if a test file has changed, that file is.  A test that fails in the survey judges
nothing; its name is kept.

A statement that only a mutant makes a test reach is not in the survey.  So a test that does not
reach a mutant's statement cannot kill it, as far as tests do the same each time.

Locks: one, for the file.  Callers: run, __main__, test_mutants.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.mutants.client import Bench
from tests.mutants.draw import Mutant
from tests.mutants.modules import ROOT, fingerprint, statement_at

SURVEY_SECONDS = 120.0      # for one test


@dataclass
class Survey:
    """Of one file, or of several.  ``reached``: lines of statements, by test and by module."""

    file: str = ""
    of: str = ""                # the fingerprint of the file and the kernel
    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)

    def add(self, other: Survey) -> None:
        self.seconds |= other.seconds
        self.reached |= other.reached
        self.failing += other.failing

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutant's statement, the shortest first."""
        line = statement_at(mutant.module, mutant.line)
        found = [test for test, its in self.reached.items() if line in its.get(mutant.module, ())]
        return sorted(found, key=lambda test: (self.seconds[test], test))


def survey(kept: Path, files: Sequence[str], jobs: int) -> Survey:
    """Read the survey of these test files, and record what it lacks."""
    lines = kept.read_text().splitlines() if kept.exists() else []
    known = {one.file: one for one in (Survey(**json.loads(line)) for line in lines)}
    wanted = {file: fingerprint(ROOT / file) for file in files}
    writing = threading.Lock()

    def record(file: str) -> None:
        known[file] = _record(file, wanted[file])
        with writing, kept.open("a") as out:
            out.write(json.dumps(asdict(known[file])) + "\n")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(record, [file for file in files
                               if file not in known or known[file].of != wanted[file]]))
    whole = Survey()
    for file in files:
        whole.add(known[file])
    return whole


def _record(file: str, of: str) -> Survey:
    """Run every test of the file, and record it if it passes."""
    made = Survey(file, of)
    with Bench([file], recording=True) as bench:
        left = list(bench.collected)
        while left:
            answer = bench.run(None, [(test, SURVEY_SECONDS) for test in left])
            passed = [one for one in answer.over if not one["failed"]]
            for one in passed:
                made.seconds[one["over"]] = round(one["seconds"], 3)
                made.reached[one["over"]] = one["reached"]
            left = left[len(passed):]
            if answer.failed:
                made.failing.append(left.pop(0))
                print(f"fails with the kernel as it is: {made.failing[-1]}", file=sys.stderr)
    return made
