"""The races whose sides differ by a memory barrier: a search shows each under the model that it needs."""

from __future__ import annotations

import pytest

from kemu.cli.race import OF_A_RUN, plan_for
from kemu.errors import UsageError
from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import parse
from kemu.harness.race import Race
from kemu.harness.runner import Plan, run_race
from kemu.kernel import sched
from kemu.kernel.barrier import smp_rmb, smp_wmb
from kemu.races import BARRIERS, exhibit, message_without_wmb, state_without_barrier

WEAKER = {"sc": (), "tso": ("sc",), "weak": ("sc", "tso")}      # models that show less


def search(race: Race, side: str, memory: str | None = None):
    """One side, exhaustively."""
    return explore_race(race, Search("exhaustive", memory=memory), [side]).sides[side]


@pytest.mark.parametrize("name", BARRIERS)
def test_it_hits_before_and_not_after(name):
    """With no option given, the verdicts are HIT and CLEAN."""
    race = exhibit(name)
    outcome = explore_race(race, Search(race.default_how))
    assert (outcome.before.verdict.value, outcome.after.verdict.value) == ("HIT", "CLEAN")
    assert outcome.exit == 0


@pytest.mark.parametrize(("name", "memory"), [
    (name, memory) for name in BARRIERS for memory in WEAKER[exhibit(name).memory]])
def test_a_model_that_orders_more_does_not_show_it(name, memory):
    """The before side hits in no schedule, and the verdict is UNKNOWN."""
    before = search(exhibit(name), "before", memory)
    assert (before.hits, before.verdict.value) == (0, "UNKNOWN")


@pytest.mark.parametrize("name", [name for name in BARRIERS if exhibit(name).memory == "tso"])
def test_weak_shows_what_tso_shows(name):
    """What x86 allows, ARM64 allows too."""
    assert search(exhibit(name), "before", "weak").hits


def test_a_write_barrier_is_not_enough_for_a_sleeper():
    """A wrong fix: smp_wmb() in place of the full barrier."""
    race = exhibit("state-without-barrier").copy()

    @race.after(state_without_barrier.prepare_to_sleep)
    def prepare_with_wmb() -> None:
        sched.__set_current_state(sched.TASK_INTERRUPTIBLE)
        smp_wmb()

    assert search(race, "after").verdict.value == "BROKEN"


def test_a_read_barrier_is_not_enough_for_a_sender():
    """A wrong fix: smp_rmb() between two stores."""
    race = exhibit("message-without-wmb").copy()

    @race.after(message_without_wmb.publish)
    def publish_with_rmb(box: message_without_wmb.Mailbox) -> None:
        box.message.store(message_without_wmb.MESSAGE)
        smp_rmb()
        box.ready.store(1)

    assert search(race, "after").verdict.value == "BROKEN"


@pytest.mark.parametrize("name", BARRIERS)
def test_its_schedule_can_be_run_again(name):
    """The schedule names the model, and a replay is the same step for step."""
    race = exhibit(name)
    schedule = parse(search(race, "before").schedule)
    assert schedule.memory == race.memory
    assert replay(race, schedule).same


def test_the_diagram_says_when_a_store_is_seen():
    """A store that was late has a line of its own when it reaches memory."""
    diagram = search(exhibit("state-without-barrier"), "before").diagram
    assert "store sleeper.state (0) 1, into the buffer" in diagram
    assert "the store of sleeper.state reaches memory: 1" in diagram


def test_a_load_of_an_older_value_comes_with_a_note():
    """The report says that kemu does not see dependencies."""
    assert "smp_load_acquire()" in search(exhibit("on-rq-read-early"), "before").notes[0]
    assert not search(exhibit("state-without-barrier"), "before").notes


def test_all_races_together_search_it():
    """With --all and any way to run, a race that needs a memory model is searched."""
    given = {"how": "forced", "trials": 3, "memory": None} | dict.fromkeys(OF_A_RUN[1:])
    assert plan_for(exhibit("on-rq-read-early"), given, True)["how"] == "exhaustive"
    assert plan_for(exhibit("on-rq-read-early"), given, True)["trials"] is None
    assert plan_for(exhibit("on-rq-read-early"), given | {"how": None, "jobs": 2}, True)["jobs"] is None
    assert plan_for(exhibit("on-rq-read-early"), given, False)["how"] == "forced"
    assert plan_for(exhibit("lost-wakeup"), given, True) == given


def test_it_cannot_be_forced():
    """The error says what to do."""
    with pytest.raises(UsageError, match="--how exhaustive"):
        run_race(exhibit("on-rq-read-early"), Plan("forced", trials=1))


def test_a_model_that_there_is_not_is_refused():
    """As the race's, and as the search's."""
    with pytest.raises(UsageError, match="sc, tso, weak"):
        Race("x", cpus=1, memory="pso")
    with pytest.raises(UsageError, match="sc, tso, weak"):
        Search("random", memory="pso")


def test_the_fixture_searches_it(kemu_race):
    """kemu_race() needs no argument for it, and takes those of a search."""
    assert kemu_race(exhibit("message-without-wmb")).exit == 0
    assert not kemu_race(exhibit("message-without-wmb"), how="random", memory="tso",
                         schedules=50).before.hits
