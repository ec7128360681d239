"""A schedule becomes a script that holds tasks before operations, and hits with all CPUs at once."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import kemu
from kemu.cli import cli
from kemu.errors import UsageError
from kemu.exits import Exit
from kemu.explore.confirm import confirm
from kemu.explore.holds import Script
from kemu.explore.minimise import preemptions
from kemu.explore.plan import Plan as Controlled
from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import parse
from kemu.explore.strategy import Replay
from kemu.explore.trials import hold_trials
from kemu.harness.runner import Plan, run_race
from kemu.harness.verdict import Verdict
from kemu.races import exhibit
from tests.explore import bounded_queue, philosophers, seqlock

MINE = [bounded_queue.race, seqlock.race, philosophers.race]


@pytest.mark.parametrize("race", MINE, ids=lambda race: race.name)
@pytest.mark.parametrize("how", ["pct", "exhaustive"])
def test_a_race_without_points_is_found_replayed_shortened_and_confirmed(race, how):
    """The search hits before the fix; the schedule hits again, and its script on real cores."""
    side = explore_race(race, Search(how, schedules=3000), ["before"]).before
    assert side.verdict is Verdict.HIT, side.doubts
    again = replay(race, parse(side.schedule))
    assert again.same and preemptions(again.record.steps) <= 2
    found = confirm(race, "before", again.record, trials=3)
    assert (found.hits, found.trials) == (3, 3), found


@pytest.mark.parametrize("race", MINE, ids=lambda race: race.name)
def test_the_fixed_side_survives_each_schedule(race):
    """All schedules with one preemption: no violation."""
    after = explore_race(race, Search("exhaustive", preemptions=1), ["after"]).after
    assert after.verdict is Verdict.CLEAN, after.doubts or after.failure


def test_a_schedule_that_does_not_hit_is_not_confirmed():
    """The trial in which one actor runs after the other loses no item, nor does its script."""
    trials = hold_trials(bounded_queue.race, "before", Replay(Controlled()))
    assert not trials.text
    assert confirm(bounded_queue.race, "before", trials.record, trials=2).hits == 0


def test_a_switch_that_no_stall_forces_is_named():
    """Where an idle CPU is to wake later, the script holds what it runs then, and not the idle loop."""
    trials = hold_trials(exhibit("lost-wakeup"), "after", Replay(Controlled(bytes([1] * 40))))
    lines = Script(exhibit("lost-wakeup"), trials.record).lines(every_switch=True)
    assert lines and all(getattr(line.at, "op", "start") != "wakes" for line in lines)


def held(at, until="done", **options):
    """The queue's race, with other held somewhere until one is done; its before side, forced."""
    race = bounded_queue.race.without_script()
    race.force("other", at, ("one", until), **options)
    return run_race(race, Plan("forced", trials=3), ["before"]).before


def test_a_task_is_held_before_an_operation():
    """No point is in the code, and each trial hits."""
    race = bounded_queue.race.without_script()
    race.force(bounded_queue.other, kemu.before("store", "Queue[0].head"), (bounded_queue.one, "done"))
    assert (run_race(race, Plan("forced", trials=3), ["before"]).before.hits) == 3


def test_an_operation_that_the_task_never_does_proves_nothing():
    """The side is UNKNOWN, and the reason names the operation."""
    side = held(kemu.before("store", "Queue[0].head", nth=2))
    assert side.verdict is Verdict.UNKNOWN
    assert "other passed a store of Queue[0].head fewer than 2 times" in side.doubts[0]
    side = held(kemu.before("xchg", "Queue[0].head"))
    assert "other never reached its first xchg of Queue[0].head" in side.doubts[0]


def test_a_hold_ends_at_an_operation_of_another_task():
    """It is over when that task comes there: the sentence of the hold says so."""
    side = held(kemu.before("load", "Queue[0].head"), until=kemu.before("load", "Queue[0].head"))
    assert any("until one passed its first load of Queue[0].head" in line or
               "had already passed its first load" in line for line in side.holds), side.holds


@pytest.mark.parametrize(("op", "word", "said"), [
    ("fetch", "Queue[0].head", "one of load, store"), ("load", "Queue[0].haed", "mean 'head'"),
    ("load", "Qeue[0].head", "mean 'Queue'"), ("load", "one.stat", "mean 'state'"),
    ("load", "one.kthread.flag", "mean 'flags'"), ("load", "cpu0.current", "mean 'curr'"),
    ("load", "online_masks", "mean 'online_mask'"), ("load", 7, "the name of a word")])
def test_a_wrong_operation_or_word_is_refused(op, word, said):
    """The error gives a name that is close."""
    with pytest.raises(UsageError, match=said):
        kemu.before(op, word)


@pytest.mark.parametrize("options", [{"kind": "preemptible"}, {"nth": 2}])
def test_an_operation_takes_no_option_of_a_point(options):
    """A task can only stall there, and the operation itself says which one it is."""
    with pytest.raises(UsageError, match="can only stall"):
        held(kemu.before("store", "Queue[0].head"), **options)


def test_a_cpu_that_the_machine_does_not_have_is_refused():
    """The word's name is right, and the run ends with what is wrong."""
    with pytest.raises(UsageError, match="CPUs 0 to 1"):
        held(kemu.before("store", "Queue[7].head"))


def test_the_script_is_a_race_file_of_its_own(tmp_path):
    """kemu race --script writes it and confirms it; kemu replay --script writes it again."""
    saved, script = str(tmp_path / "it.schedule"), str(tmp_path / "it.py")
    run = CliRunner()
    found = run.invoke(cli, ["race", "lost-wakeup", "--side", "before", "--how", "pct", "--save", saved,
                             "--script", script], standalone_mode=False)
    assert "confirmed 20 of 20 in parallel" in found.output
    forced = run.invoke(cli, ["race", script, "--side", "before", "--how", "forced", "--trials", "3"],
                        standalone_mode=False)
    assert forced.return_value == Exit.EXPECTED, forced.output
    assert f"kemu race {script}:lost-wakeup --side before --how forced" in forced.output


def test_a_script_is_written_of_a_search_only():
    """Another way to run a race finds no schedule."""
    done = CliRunner().invoke(cli, ["race", "lost-wakeup", "--how", "jitter", "--script", "x.py"],
                              standalone_mode=False)
    assert isinstance(done.exception, UsageError) and "--script" in str(done.exception)
