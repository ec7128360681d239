"""The short form of `make mutants`: killed, survived, not called and undecided are told apart."""

from __future__ import annotations

import json

import pytest

from tests.mutants import __main__ as tool
from tests.mutants.client import Answer, Bench
from tests.mutants.draw import control, draw, find, order
from tests.mutants.explained import EQUIVALENT, explanation, keys
from tests.mutants.modules import statement_at
from tests.mutants.run import KILLED, NOT_CALLED, SURVIVED, UNDECIDED, Judge, Judgement
from tests.mutants.survey import Survey

KTHREAD, SMPBOOT = "kemu.kernel.kthread", "kemu.kernel.smpboot"
CPUHP = "kemu.kernel.hotplug.cpuhp_thread"
FILE = "tests/kernel/test_kthread.py"
NAMES = "tests/kernel/test_smpboot.py"
PARK = f"{FILE}::test_park"
EXHIBITS = "tests/mutants/exhibits.py"
REGISTER = f"{EXHIBITS}::test_command[torture --duration 2 --mix register --cpus 2 --duration 1]"
FORCED = f"{EXHIBITS}::test_command[race unpark-wrong-cpu --how forced --trials 3]"
UNPARK = find(KTHREAD, "__kthread_unpark", "return at the start")


@pytest.fixture(scope="module")
def suite():
    with Bench([FILE]) as bench:
        yield bench


@pytest.fixture(scope="module")
def exhibits():
    with Bench([EXHIBITS]) as bench:
        yield bench


def survey_of(mutant, *tests):
    """A survey that says that these tests reach the mutant, and take no time."""
    lines = {mutant.module: [statement_at(mutant.module, mutant.line)]}
    return Survey(seconds={test: number / 1000 for number, test in enumerate(tests)},
                  reached=dict.fromkeys(tests, lines))


def judged(bench, mutant, *tests):
    return Judge(bench, survey_of(mutant, *tests)).judge(mutant, 100)


def test_a_wrong_kernel_is_killed(suite):
    """The first test that needs the function kills it, and the judgement names that test."""
    wrong = find(CPUHP, "cpuhp_thread_fun", "invert `not st.should_run.load_acquire()`")
    judgement = judged(suite, wrong, PARK)
    assert (judgement.verdict, judgement.by.split(" (")[0], judgement.unsure) == (KILLED, PARK, ())


def test_a_kernel_that_hangs_is_killed(suite):
    """An empty __kthread_parkme(): the test takes too long, and the next order is not harmed."""
    assert suite.run(find(KTHREAD, "__kthread_parkme", "return at the start"), [(PARK, 1.0)]).late
    assert not suite.run(control(KTHREAD, "__kthread_parkme"), [(PARK, 30.0)]).failed


def test_an_equivalent_mutant_survives(suite):
    """A function that is compiled anew and not changed is called, and nothing fails."""
    whole = control(KTHREAD, "__kthread_unpark")
    assert suite.run(whole, [(PARK, 30.0)]).calls > 0
    assert judged(suite, whole, PARK).verdict == SURVIVED


def test_a_leak_is_killed_by_torture(exhibits):
    """Of the threads' own blocks: nothing fails but the count of the blocks at the end."""
    leaks = find(SMPBOOT, "smpboot_thread_fn", "drop `td.free()`")
    assert exhibits.run(leaks, [(REGISTER, 30.0)]).failed == REGISTER


def test_an_exhibit_boots_before_its_overrides(exhibits):
    """With the kernel unchanged, a race's before side hits and its after side is clean."""
    assert exhibits.run(control(KTHREAD, "kthread_park"), [(FORCED, 30.0)]).failed == ""


def test_the_statements_that_a_test_reaches_are_recorded():
    """In the CPUs' processes too; a statement that the test does not reach is not there."""
    with Bench([FILE], recording=True) as bench:
        reached = bench.run(None, [(PARK, 30.0)]).over[0]["reached"]
    assert statement_at(KTHREAD, UNPARK.line) in reached[KTHREAD]
    assert "kemu.kernel.v2_6.migration" not in reached


class Told:
    """A bench whose answers are given: the tests that fail, for each order."""

    def __init__(self, *failing, calls=1):
        self.failing, self.asked, self.calls = list(failing), [], calls

    def run(self, mutant, tests):
        names = [test for test, _ in tests]
        self.asked.append((mutant.change, names))
        failed = self.failing.pop(0) if self.failing else ""
        over = names[:names.index(failed)] if failed else names
        return Answer(failed, calls=self.calls, over=[{"over": test, "failed": False} for test in over])


def test_a_failure_that_comes_without_the_mutant_is_not_a_kill():
    """The test is unsure, and those behind it run."""
    bench = Told("b", "b")
    judgement = judged(bench, UNPARK, "a", "b", "c")
    assert (judgement.verdict, judgement.unsure, judgement.ran) == (SURVIVED, ("b",), 3)
    assert bench.asked[1:] == [("nothing", ["b"]), (UNPARK.change, ["c"])]


def test_a_failure_that_does_not_come_again_is_not_a_kill():
    """A loaded machine may be the cause of one failure."""
    judgement = judged(Told("a", "", "", "", ""), UNPARK, "a", "b")
    assert (judgement.verdict, judgement.unsure) == (SURVIVED, ("a",))


def test_a_failure_that_comes_again_is_a_kill():
    """And not without the mutant."""
    assert judged(Told("a", "", "", "a"), UNPARK, "a", "b").verdict == KILLED


def test_a_mutant_that_nothing_reaches_is_told_apart():
    """However wrong it is, nothing runs."""
    bench = Told()
    assert Judge(bench, survey_of(control(SMPBOOT, "smpboot_thread_fn"), "a")).judge(
        UNPARK, 100).verdict == NOT_CALLED
    assert bench.asked == []
    assert judged(Told(calls=0), UNPARK, "a").verdict == NOT_CALLED


def test_a_budget_that_is_spent_leaves_it_undecided():
    """A larger budget goes on with the tests that have not run."""
    bench, judge = Told(), Judge(Told(), survey_of(UNPARK, "a", "b", "c"))
    judge.bench = bench
    first = judge.judge(UNPARK, 0.001)
    assert (first.verdict, judge.judge(UNPARK, 1, first).verdict) == (UNDECIDED, SURVIVED)
    assert [names for _, names in bench.asked] == [["a", "b"], ["c"]]


def test_the_draw_is_the_seeds():
    """The same seed draws the same mutants, each of them once; another seed draws others."""
    names = [mutant.name for mutant in draw(30, 1)]
    assert names == [mutant.name for mutant in draw(30, 1)]
    assert len(set(names)) == 30
    assert names != [mutant.name for mutant in draw(30, 2)]


def test_the_first_part_of_the_order_is_a_fair_sample():
    """It has of each module what is its share, within one and a half."""
    every = [site.module for site in order(1)]
    for module in set(every):
        assert abs(every[:100].count(module) - 100 * every.count(module) / len(every)) <= 1.5


@pytest.mark.parametrize("key", EQUIVALENT, ids=str)
def test_an_explanation_is_of_a_mutant_that_there_is(key):
    """A mutant whose function has changed is explained anew, or not at all."""
    assert explanation(keys(key[0])[key].mutant()) == EQUIVALENT[key]


def test_a_run_goes_on_where_it_ended(tmp_path, monkeypatch, capsys):
    """The results are kept, the next run judges the rest, and the survivors are listed."""
    drawn, asked = draw(2, 3), []

    class Interrupted:
        def __init__(self, bench, survey):
            self.bench = bench

        def judge(self, mutant, budget, begun):
            asked.append(mutant)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return Judgement(SURVIVED)

    class NoBench:
        def __init__(self, files):
            pass

        def close(self):
            pass

    for name, value in {"Judge": Interrupted, "Bench": NoBench, "survey": lambda *_: None}.items():
        monkeypatch.setattr(tool, name, value)
    given = ["--count", "2", "--seed", "3", "--side", "suite", "--results", str(tmp_path / "results"),
             "--json", str(tmp_path / "score")]
    assert [tool.main(given), tool.main(given)] == [130, 0]
    assert asked == [drawn[0], drawn[1], drawn[1]]
    said = capsys.readouterr().out
    assert all(f"  {mutant.name}\n" in said + "\n" for mutant in drawn)
    assert json.loads((tmp_path / "score").read_text())["score"]["all"]["suite"] == {SURVIVED: 2}
