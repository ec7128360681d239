"""A wrong fix is never judged CLEAN: the checks of the exhibits check."""

from __future__ import annotations

import pytest

from kemu.harness import side_run
from kemu.harness.runner import Plan
from kemu.kernel.own.point import point
from kemu.kernel.panic import WARN
from kemu.races import FORCED
from tests.races.equivalent import ANYWHERE, BY_CHANCE, IN_RACE
from tests.races.left_out import without_each_statement
from tests.races.wrong_fixes import STORIES, every_wrong_fix, is_clean, judge, wrong_fixes

PLAN = Plan("forced", trials=2)


@pytest.mark.parametrize("name", FORCED)
def test_no_wrong_fix_is_clean(name, monkeypatch):
    """Each function of the story is empty, or refuses, or is done twice; or a part is left out."""
    # A wrong fix may well hang.  If a slow host makes a trial look hung, it is not CLEAN either.
    monkeypatch.setattr(side_run, "STUCK_SECONDS", 1.0)
    said = {str(fix): judge(fix, PLAN) for fix in wrong_fixes(name)}
    assert said, f"no wrong fix of {name} was tried"
    assert {fix: verdict for fix, verdict in said.items() if is_clean(verdict)} == {}


def test_the_tables_name_what_there_is():
    """Each exhibit has a story, and each wrong fix that is called equivalent is one that is tried."""
    assert set(STORIES) == set(FORCED)
    tried = [fix for name in FORCED for fix in every_wrong_fix(name)]
    assert set(ANYWHERE) - {fix.anywhere for fix in tried} == set()
    assert set(IN_RACE | BY_CHANCE) - {(fix.race, *fix.anywhere) for fix in tried} == set()


def without(name, statement):
    """A function of the exhibit's fix, without that statement."""
    return next(fix for fix in every_wrong_fix(name) if fix.how == f"without `{statement}`")


@pytest.mark.parametrize(("name", "statement", "verdict"), [
    ("lost-wakeup", "if reactor.work.load():", "BROKEN"),
    ("lost-wakeup", "sched.set_current_state(sched.TASK_RUNNING)", "BROKEN"),
    ("lost-wakeup", "sched.schedule()", "CLEAN"),
    ("unpark-wrong-cpu", "p.flags.fetch_or(PF_NO_SETAFFINITY)", "BROKEN"),
    ("register-misses-cpu", "with cpus_read():", "BROKEN")])
def test_a_fix_without_one_of_its_statements(name, statement, verdict):
    """It is judged by what is missing; one that polls does what the fix does."""
    fix = without(name, statement)
    assert (judge(fix, PLAN).partition(":")[0], bool(fix.equivalent)) == (verdict, verdict == "CLEAN")


def lockless(lock, words):
    """A function with all kinds of statements."""
    point("begins")
    with lock:
        first = words.load()
        if first:
            words.store(first + 1)
            words.store(first + 1)
        if first < 0:
            WARN("negative")
            return -1
    return first


def test_each_statement_is_left_out_alone():
    """A block keeps what a lock guards; points, checks, and what names a value stay."""
    left = dict(without_each_statement(lockless))
    assert list(left) == ["with lock:", "return first", "if first:", "if first < 0:",
                          "words.store(first + 1)", "words.store(first + 1) (2)"]
    assert "with lock" not in left["with lock:"] and "words.load()" in left["with lock:"]
    assert all("point('begins')" in source for source in left.values())
    assert [text for text, source in left.items() if "WARN('negative')" not in source] == ["if first < 0:"]
