"""How near two cores are, on hosts that are files in a folder."""

from __future__ import annotations

import pytest

from kemu.errors import UsageError
from kemu.latency.topology import Near, in_order_of_nearness, near, pairs, parse_cores
from kemu.machine.placement import usable_cores


@pytest.fixture
def host(tmp_path):
    """Two nodes of two physical cores with two threads each: 0-3 and 4-7; 0 and 2 are siblings."""
    root = tmp_path / "cpu"
    for core in range(8):
        node = core // 4
        here = root / f"cpu{core}"
        (here / "topology").mkdir(parents=True)
        siblings = sorted({core, core ^ 2})
        (here / "topology" / "thread_siblings_list").write_text(",".join(map(str, siblings)))
        for index, level, shared in ((0, 1, siblings), (3, 3, [node * 4, node * 4 + 1, node * 4 + 2])):
            cache = here / "cache" / f"index{index}"
            cache.mkdir(parents=True)
            (cache / "level").write_text(f"{level}\n")
            (cache / "shared_cpu_list").write_text(",".join(map(str, shared)) if core in shared else "")
        (tmp_path / "node" / f"node{node}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "node" / f"node{node}" / "cpulist").write_text(f"{node * 4}-{node * 4 + 3}\n")
    return root


@pytest.mark.parametrize(("a", "b", "expected"), [
    (0, 0, Near.SAME_CORE), (0, 2, Near.SMT_SIBLING), (0, 1, Near.SAME_CACHE), (0, 3, Near.SAME_NODE),
    (0, 4, Near.OTHER_NODE), (7, 4, Near.SAME_NODE)])
def test_near(host, a, b, expected):
    """Each kind of nearness is distinguished from the others."""
    assert near(a, b, host) is expected


def test_a_shared_cache_of_level_1_is_no_sign(host):
    """Level 1 is shared by threads of one core only, which the sibling list says already."""
    for level in host.glob("cpu*/cache/index3/level"):
        level.write_text("1")
    assert near(0, 1, host) is Near.SAME_NODE


def test_a_host_that_shows_nothing(tmp_path):
    """Without sysfs two cores are merely two cores."""
    assert near(0, 1, tmp_path / "cpu") is Near.SAME_NODE


def test_pairs_come_nearest_first(host):
    """All pairs, ordered by nearness and then by number."""
    found = pairs(list(range(8)), host)
    assert len(found) == 28
    assert found[:4] == [(0, 2), (1, 3), (4, 6), (5, 7)]
    assert [near(*pair, host) for pair in found] == sorted(near(*pair, host) for pair in found)


def test_neighbours_in_the_matrix_are_near(host):
    """Each core is followed by its sibling, then by cores of its cache, of its node, of the other node."""
    assert in_order_of_nearness(pairs(list(range(8)), host), host) == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_lone_core_is_a_pair_with_itself():
    """Both emulated CPUs share it."""
    assert pairs([3]) == [(3, 3)]


def test_cores_of_a_list():
    """One core, and all of them."""
    cores = sorted(usable_cores())
    assert parse_cores(str(cores[0])) == cores[:1]
    assert parse_cores("all") == cores


@pytest.mark.parametrize("text", ["", "x", "0-", "-1", "0,,1", "1-x", "99999", "0-99999999999", "0,0"])
def test_a_list_that_is_none_is_refused(text):
    """With what was given and what is expected."""
    with pytest.raises(UsageError, match="--cpus"):
        parse_cores(text)
