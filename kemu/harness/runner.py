"""Run a race: each of its sides, as a plan says.

Linux: none; kemu's own.
Locks: none.  Callers: cli, pytest_plugin, users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kemu.errors import UsageError
from kemu.harness.plan import HOWS, Plan
from kemu.harness.race import Race
from kemu.harness.side_jobs import SideJobs
from kemu.harness.verdict import Outcome, Side

__all__ = ["HOWS", "Interrupted", "Plan", "run_race"]

Progress = Callable[[Side], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended run_race(); ``outcome`` has what was counted until then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def run_race(race: Race, plan: Plan, sides: Sequence[str] | None = None,
             progress: Progress | None = None) -> Outcome:
    """Run the race's sides, all by default, and judge them.

    Raises UsageError for a race that cannot run and for a mistake in its file, and Interrupted,
    with the outcome so far, if Ctrl-C ends it.
    """
    race.check()
    if plan.forced and not race.holds:
        raise UsageError(f"race {race.name} has no force(): it cannot be forced; try --how "
                         f"{race.default_how}")
    names = race.sides if sides is None else sides
    for name in names:
        race.side(name)
    outcome = Outcome(race.name, plan.how, plan.seed, title=race.title, options=plan.options)
    for name in names:
        jobs = SideJobs(race, name, plan, progress or (lambda side: None))
        try:
            outcome.sides[name] = jobs.run()
        except KeyboardInterrupt:
            outcome.sides[name] = jobs.so_far()
            outcome.sides[name].doubts.append("Ctrl-C ended it")
            raise Interrupted(outcome) from None
    return outcome
