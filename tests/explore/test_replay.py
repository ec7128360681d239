"""A trial is the list of its choices: the same list gives the same trial."""

from __future__ import annotations

import pytest

from kemu.explore.plan import Plan
from kemu.explore.strategy import Random, Replay, Several
from kemu.explore.trials import hold_trials
from kemu.races import EXHIBITS, exhibit
from tests.explore import deadlock, not_deterministic

FRESH = 5           # machines


def found(race, seed=1):
    """A schedule that hits."""
    trials = hold_trials(race, "before", Random(seed), schedules=5000)
    assert trials.text
    return trials


def shape(trials):
    """The steps without values: the generation of a task's slot differs with a machine's age."""
    return [line.partition(" (")[0] for line in trials.record.lines]


@pytest.mark.parametrize("name", ["lost-wakeup", "unpark-wrong-cpu", "stale-is-parked"])
def test_a_found_schedule_hits_again_in_fresh_machines(name):
    """Each replay has the same steps, with the same values, and fails with the same words."""
    hit = found(exhibit(name))
    first, *others = (hold_trials(exhibit(name), "before", Replay(Plan(hit.record.choices)))
                      for _ in range(1 + FRESH))
    assert shape(first) == shape(hit)
    for again in others:
        assert (first.record.parting(again.record), again.text) == ("", hit.text)


# What a race prepares runs at the host's own speed, so such a race may start two trials in two ways.
@pytest.mark.parametrize("name", [name for name in EXHIBITS if not exhibit(name).prepares])
def test_a_schedule_is_the_same_in_a_machine_that_has_run_others(name):
    """The twentieth trial of a machine takes the steps of the first of a fresh one."""
    draw = Random(7)
    plans = [draw.next() for _ in range(20)]
    first = hold_trials(exhibit(name), "after", Replay(plans[-1]))
    later = hold_trials(exhibit(name), "after", Several(plans), schedules=20, audit_every=10)
    assert later.schedules == 20 and shape(first) == shape(later)


def test_every_step_is_taken_with_the_baton():
    """No task takes a step while another CPU has the baton."""
    assert hold_trials(exhibit("unpark-wrong-cpu"), "after", Random(1), schedules=200).strays == 0


def test_other_choices_are_another_trial():
    """Two seeds give two records: a comparison that finds nothing could not fail."""
    one, two = (hold_trials(exhibit("lost-wakeup"), "after", Random(seed)) for seed in (1, 2))
    assert one.record.parting(two.record).startswith("step ")


def test_a_program_that_asks_the_clock_is_told_where_it_parts():
    """The second trial stores another value: the parting names the step and both values."""
    one, two = (hold_trials(not_deterministic.race, "after", Replay(Plan())) for _ in range(2))
    said = one.record.parting(two.record)
    assert "asks: store Shared[0]" in said and said.startswith("step 2 was")


def test_a_deadlock_is_found_when_it_forms():
    """No CPU can go on: the report names each lock's waiter and its holder."""
    trials = found(deadlock.race)
    assert trials.text.startswith("deadlock: no CPU can go on")
    for party, owner in (("zero", "one"), ("one", "two"), ("two", "zero")):
        assert f"{party} waits for the spinlock" in trials.text
        assert f"which {owner} holds" in trials.text


def test_locks_in_order_do_not_deadlock():
    """The fixed side comes to its end on every schedule."""
    assert hold_trials(deadlock.race, "after", Random(1), schedules=500).text == ""
