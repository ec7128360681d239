"""The names of words: which word a name means, and what is said of a name that none has."""

from __future__ import annotations

import pytest

import kemu
from kemu.errors import UsageError
from kemu.kernel.own.word_names import WordName


def ring(**fields):
    """A per-CPU variable named NamedRing, with these words."""
    return type("NamedRing", (kemu.PerCPU,), fields)


KEPT = [ring(first=kemu.Word()), ring(last=kemu.Word())]


@pytest.mark.parametrize("field", ["first", "last"])
def test_of_two_variables_of_one_name_the_field_decides(field):
    """Two race files may each have a class of that name."""
    assert WordName.parse(f"NamedRing[1].{field}").cpu == 1


@pytest.mark.parametrize(("name", "hint"), [
    ("T.stat", "'state'"), ("NamedRing[0].lasst", "'last'"), ("NamedRong[0].first", "'NamedRing'"),
    ("cpu1.need_reshed", "'need_resched'"), ("T.kthread.flag", "'flags'"), ("online_musk", "'online_mask'")])
def test_a_wrong_name_is_refused_with_a_close_one(name, hint):
    """Each kind of name."""
    with pytest.raises(UsageError, match=hint):
        WordName.parse(name)
