"""A trial in which tasks took turns at one interpreter does not count, unless forced or with a reason."""

from __future__ import annotations

import json

import pytest

import kemu
from kemu.harness.record import as_json
from kemu.harness.runner import Plan, run_race
from kemu.kernel import kthread, sched
from kemu.machine.placement import usable_cores

pytestmark = pytest.mark.skipif(len(usable_cores()) < 2, reason="two tasks need two cores to run at once")


class Stage(kemu.PerCPU, keep=True):
    """Of CPU 0."""

    asked = kemu.Word()
    answered = kemu.Word()
    partner = kemu.TaskRef()


def answer(data: None) -> int:
    """Answer each question, and sleep until the next."""
    stage = Stage.on(0)
    while True:
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if stage.answered.load() == stage.asked.load():
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)
        stage.answered.store(stage.asked.load())


def race_with_a_partner(home: int) -> kemu.Race:
    """An actor on CPU 0 that meets, in each trial, a thread on CPU 1 which lives in that home."""
    race = kemu.Race("turns", cpus=2)
    race.witness("met", "the actor ran until its partner had answered")
    race.before(kthread.kthread_bind)(lambda p, cpu: None)

    @race.setup
    def create(t):
        partner = kthread.kthread_create_on_node(answer, None, 0, "partner", home=home)
        sched.set_cpus_allowed_ptr(partner, 0b10)
        Stage.on(0).partner.set(partner)
        sched.wake_up_process(partner)

    @race.actor(cpu=0)
    def asker(t):
        stage = Stage.on(0)
        stage.asked.add(1)
        sched.wake_up_process(stage.partner.get())
        while stage.answered.load() != stage.asked.load():
            sched.cpu_relax()
        t.witness("met")

    return race


def run(race: kemu.Race, how: str = "free"):
    return run_race(race, Plan(how, trials=10), ("after",))


@pytest.mark.parametrize("how", ["free", "jitter"])
def test_does_not_count(how):
    """The witness was seen in each trial, and none counts: the table, the doubt and the JSON say why."""
    race = race_with_a_partner(home=0)
    outcome = run(race, how)
    after = outcome.after
    assert (after.verdict.value, after.witnessed, after.turns, after.seen["met"]) == ("UNKNOWN", 0, 10, 10)
    assert "tasks took turns at one interpreter" in after.doubts[0]
    assert "after: took turns: 10 of 10 trials: two tasks of one process ran at once" in str(outcome)
    assert json.loads(as_json(race, outcome))["sides"]["after"]["took_turns"] == 10


def test_counts_with_homes_of_their_own():
    """The same tasks in processes of their own run in parallel, and each trial counts."""
    outcome = run(race_with_a_partner(home=1))
    assert (outcome.after.clean, outcome.after.witnessed, outcome.after.turns) == (True, 10, 0)
    assert "took turns" not in str(outcome)


def test_counts_if_the_race_says_why():
    """takes_turns() counts the trials; the table has their number and the reason."""
    race = race_with_a_partner(home=0)
    race.takes_turns("it is a test")
    outcome = run(race)
    assert (outcome.after.clean, outcome.after.witnessed, outcome.after.turns) == (True, 10, 10)
    assert "they count, because it is a test" in str(outcome)


def test_reason_is_a_text():
    """A reason that says nothing is refused where it is written."""
    with pytest.raises(kemu.UsageError, match="why its tasks must take turns"):
        kemu.Race("turns", cpus=1).takes_turns("")
