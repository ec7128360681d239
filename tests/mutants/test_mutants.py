"""The short form of `make mutants`: killed, survived and not called are told apart."""

from __future__ import annotations

import json

import pytest

from tests.mutants import __main__ as tool
from tests.mutants.draw import control, draw, find
from tests.mutants.run import (KILLED, NOT_CALLED, SURVIVED, Ending, Judgement, failed_test,
                               judge_by_exhibits, judge_by_suite)

KTHREAD, SMPBOOT = "kemu.kernel.kthread", "kemu.kernel.smpboot"
CPUHP = "kemu.kernel.hotplug.cpuhp_thread"
SHORT = ["tests/kernel/test_kthread.py::test_park"]
TORTURE = [["torture", "--duration", "1", "--mix", "register", "--cpus", "2"]]


@pytest.mark.parametrize(("module", "function", "change"), [
    (KTHREAD, "__kthread_unpark", "return at the start"),
    (CPUHP, "cpuhp_thread_fun", "invert `not st.should_run.load_acquire()`")])
def test_a_wrong_kernel_is_killed(module, function, change):
    """The first test that needs the function kills it, and the judgement names that test."""
    judgement = judge_by_suite(find(module, function, change), SHORT)
    assert (judgement.verdict, judgement.by, judgement.unsure) == (KILLED, SHORT[0], ())


def test_a_leak_is_killed_by_torture():
    """Of the threads' own blocks: nothing fails but the count of the blocks at the end."""
    leaks = find(SMPBOOT, "smpboot_thread_fn", "drop `td.free()`")
    assert judge_by_exhibits(leaks, TORTURE).verdict == KILLED


def test_an_equivalent_mutant_survives():
    """A function that is compiled anew and not changed is called, and nothing fails."""
    assert judge_by_suite(control(KTHREAD, "__kthread_unpark"), SHORT).verdict == SURVIVED


def test_an_exhibit_boots_before_its_overrides():
    """With the kernel unchanged, a race's before side hits and its after side is clean."""
    forced = [["race", "unpark-wrong-cpu", "--how", "forced", "--trials", "1"]]
    judgement = judge_by_exhibits(control(KTHREAD, "kthread_park"), forced)
    assert (judgement.verdict, judgement.unsure) == (SURVIVED, ())


def test_a_mutant_that_nothing_calls_is_told_apart():
    """However wrong it is."""
    never = find("kemu.kernel.v2_6.workqueue", "queue_work", "return at the start")
    assert judge_by_suite(never, SHORT).verdict == NOT_CALLED


def test_the_draw_is_the_seeds():
    """The same seed draws the same mutants, each of them once; another seed draws others."""
    names = [mutant.name for mutant in draw(300, 1)]
    assert names == [mutant.name for mutant in draw(300, 1)]
    assert len(set(names)) == 300
    assert names != [mutant.name for mutant in draw(300, 2)]


@pytest.mark.parametrize("said", [
    "tests/a/test_b.py::test_c[1 2] FAILED [50%]\nFAILED tests/a/test_b.py::test_c[1 2] - assert 0",
    "tests/a/test_b.py::test_a PASSED [50%]\ntests/a/test_b.py::test_c[1 2] +++++++++++ Timeout ++++++++++"])
def test_the_failed_test_is_named(said):
    """Also when pytest-timeout ended the process."""
    assert failed_test(Ending(1, 0, said)) == "tests/a/test_b.py::test_c[1 2]"


def test_a_run_goes_on_where_it_ended(tmp_path, monkeypatch, capsys):
    """Ctrl-C keeps the results, the next run judges the rest, and the survivors are listed."""
    drawn, asked = draw(2, 3), []

    def interrupted(mutant):
        asked.append(mutant)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return Judgement(SURVIVED)

    monkeypatch.setattr(tool, "JUDGES", {"suite": interrupted, "exhibits": interrupted})
    given = ["--count", "2", "--seed", "3", "--side", "suite", "--results", str(tmp_path / "results"),
             "--json", str(tmp_path / "score")]
    assert [tool.main(given), tool.main(given)] == [130, 0]
    assert asked == [drawn[0], drawn[1], drawn[1]]
    said = capsys.readouterr().out
    assert all(f"  {mutant.name}\n" in said.replace("\n\n", "\n") + "\n" for mutant in drawn)
    assert json.loads((tmp_path / "score").read_text())["score"]["all"]["suite"] == {SURVIVED: 2}
