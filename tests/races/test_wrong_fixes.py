"""A wrong fix is never judged CLEAN: the checks of the exhibits check."""

from __future__ import annotations

import pytest

from kemu.harness import side_run
from kemu.harness.runner import Plan
from kemu.races import FORCED, exhibit
from tests.races.wrong_fixes import HARMLESS, STORIES, is_clean, judge, wrong_fixes

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
    """Each exhibit has a story, and each part that is called harmless is a part of its fix."""
    assert set(STORIES) == set(FORCED)
    for name, function in HARMLESS:
        assert function in {o.target.__name__ for o in exhibit(name).side("before").overrides}
