"""What a search cannot do is an error that says so, before anything boots."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import kemu
from kemu.cli import cli
from kemu.errors import UsageError
from kemu.explore.plan import Plan
from kemu.explore.referee import MAX_TASKS
from kemu.explore.strategy import Replay
from kemu.explore.trials import hold_trials
from kemu.harness.trial import Trial


def race_of(tasks: int) -> kemu.Race:
    """A race of so many actors that do nothing."""
    race = kemu.Race("crowd", cpus=1)
    for number in range(tasks):
        def nothing(t: Trial) -> None:
            pass
        nothing.__name__ = f"nothing_{number}"
        race.actor(cpu=0)(nothing)
    return race


def test_a_race_of_too_many_tasks_is_refused():
    """The error gives the number and the limit."""
    with pytest.raises(UsageError, match=f"{MAX_TASKS + 1} actors.*at most {MAX_TASKS}"):
        hold_trials(race_of(MAX_TASKS + 1), "after", Replay(Plan()))


def test_a_race_of_as_many_tasks_as_fit_is_searched():
    """The limit itself is no error: a machine holds the trial."""
    assert hold_trials(race_of(MAX_TASKS), "after", Replay(Plan())).schedules == 1


@pytest.mark.parametrize("how", ["random", "pct", "exhaustive"])
@pytest.mark.parametrize("grain", ["points", "ops"])
def test_a_search_refuses_a_grain(how, grain):
    """Only jitter has a grain, so the command says that the option has no place here."""
    done = CliRunner().invoke(cli, ["race", "lost-wakeup", "--how", how, "--grain", grain],
                              standalone_mode=False)
    assert isinstance(done.exception, UsageError) and "--grain" in str(done.exception)
