"""Each memory model gives exactly the outcomes of the litmus tests that it allows.

For sc and tso the verdicts are those of sequential consistency and of x86-TSO (Sewell and others,
"x86-TSO", 2010), written down by hand; herd was not run.  For weak they are those of a machine in
which all CPUs see the stores in one order, and no store comes before a load that precedes it in the
program: ARM64, except that LB does not show.

A form with a barrier left out stands beside each form that has them all: it must show.
"""

from __future__ import annotations

import pytest

from tests.explore.litmus import outcomes

SC, TSO, WEAK = "sc", "tso", "weak"

# The columns; what the loads read, then x and y at the end; the models that allow it.
TESTS = {
    "SB": (["W x 1; R y", "W y 1; R x"], (0, 0, 1, 1), {TSO, WEAK}),
    "SB+mb+po": (["W x 1; mb; R y", "W y 1; R x"], (0, 0, 1, 1), {TSO, WEAK}),
    "SB+mbs": (["W x 1; mb; R y", "W y 1; mb; R x"], (0, 0, 1, 1), set()),
    "SB+xchgs": (["X x 1; R y", "X y 1; R x"], (0, 0, 1, 1), set()),
    "SB+rel+acq": (["Wrel x 1; Racq y", "Wrel y 1; Racq x"], (0, 0, 1, 1), {TSO, WEAK}),
    "MP": (["W x 1; W y 1", "R y; R x"], (1, 0, 1, 1), {WEAK}),
    "MP+wmb+po": (["W x 1; wmb; W y 1", "R y; R x"], (1, 0, 1, 1), {WEAK}),
    "MP+po+rmb": (["W x 1; W y 1", "R y; rmb; R x"], (1, 0, 1, 1), {WEAK}),
    "MP+wmb+rmb": (["W x 1; wmb; W y 1", "R y; rmb; R x"], (1, 0, 1, 1), set()),
    "MP+rel+acq": (["W x 1; Wrel y 1", "Racq y; R x"], (1, 0, 1, 1), set()),
    "MP+rel+acq-of-x": (["W x 1; Wrel y 1", "R y; Racq x"], (1, 0, 1, 1), {WEAK}),
    "LB": (["R x; W y 1", "R y; W x 1"], (1, 1, 1, 1), set()),
    "S": (["W x 2; W y 1", "R y; W x 1"], (1, 2, 1), {WEAK}),
    "S+wmb+po": (["W x 2; wmb; W y 1", "R y; W x 1"], (1, 2, 1), set()),
    "R": (["W x 1; W y 1", "W y 2; R x"], (0, 1, 2), {TSO, WEAK}),
    "R+mb+po": (["W x 1; mb; W y 1", "W y 2; R x"], (0, 1, 2), {TSO, WEAK}),
    "R+mbs": (["W x 1; mb; W y 1", "W y 2; mb; R x"], (0, 1, 2), set()),
    "2+2W": (["W x 1; W y 2", "W y 1; W x 2"], (1, 1), {WEAK}),
    "2+2W+wmb+po": (["W x 1; wmb; W y 2", "W y 1; W x 2"], (1, 1), {WEAK}),
    "2+2W+wmbs": (["W x 1; wmb; W y 2", "W y 1; wmb; W x 2"], (1, 1), set()),
    "CoRR": (["W x 1", "R x; R x"], (1, 0, 1, 0), set()),
    "CoWW": (["W x 1; W x 2"], (1, 0), set()),
    "CoRW": (["R x; W x 1"], (1, 1, 0), set()),
    "CoWR": (["W x 1; R x", "W x 2"], (0, 1, 0), set()),
}
IRIW = ["W x 1", "W y 1", "R x; R y", "R y; R x"]
IRIW_RMBS = ["W x 1", "W y 1", "R x; rmb; R y", "R y; rmb; R x"]


def columns(texts: list[str]) -> list[list[str]]:
    return [text.split("; ") for text in texts]


@pytest.mark.parametrize("memory", [SC, TSO, WEAK])
@pytest.mark.parametrize("name", TESTS)
def test_a_model_gives_the_outcome_if_it_allows_it(name, memory):
    """The outcome that the litmus test asks for shows under the models that allow it, and only there."""
    texts, asked, allowed = TESTS[name]
    assert (asked in outcomes(columns(texts), memory, 3)) == (memory in allowed)


def test_two_readers_see_two_stores_in_one_order_under_tso():
    """IRIW does not show on x86."""
    assert (1, 0, 1, 0, 1, 1) not in outcomes(columns(IRIW), TSO, 2)


def test_two_readers_may_see_two_stores_in_two_orders_under_weak():
    """IRIW shows, and no other outcome is missing."""
    seen = outcomes(columns(IRIW), WEAK, 2)
    assert (1, 0, 1, 0, 1, 1) in seen and len(seen) == 16


def test_read_barriers_give_both_readers_one_order():
    """IRIW with smp_rmb() in both readers does not show, as on ARM64 and not as on Power."""
    assert (1, 0, 1, 0, 1, 1) not in outcomes(columns(IRIW_RMBS), WEAK, 2)


def test_sequential_consistency_is_the_interleavings():
    """Under sc the outcomes of SB are those of its interleavings, and tso adds one."""
    program = columns(TESTS["SB"][0])
    interleaved = {(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)}
    assert outcomes(program, SC, 3) == interleaved
    assert outcomes(program, TSO, 3) == interleaved | {(0, 0, 1, 1)}
