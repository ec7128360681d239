"""Search the fixed kernel: does a schedule break a promise of it?

    python -m tests.explore.fixed_kernel [SECONDS [NAME ...]]       (also: make fixed-kernel)

Each subject is searched exhaustively with 1 and 2 preemptions under sc, with 1 under weak, and by pct
under each, for at most SECONDS (60) a search.  Prints a line for each search: what it proves.  Exits
with 1 if a schedule was found that breaks a promise.
"""

from __future__ import annotations

import sys

from kemu.explore.run import MAX_SCHEDULES, Search
from kemu.explore.trials import hold_trials
from kemu.harness.referee import AUDIT_EVERY
from kemu.races import exhibit
from tests.explore import kernel_stoppers, kernel_unpark_and_stop, kernel_wake_and_park

OWN = {module.race.name: module.race for module in (kernel_unpark_and_stop, kernel_stoppers,
                                                    kernel_wake_and_park)}
SUBJECTS = (*OWN, "register-misses-cpu", "exec-dest-dies")      # the side after of the last two
SEARCHES = (Search("exhaustive", preemptions=1), Search("exhaustive", preemptions=2),
            Search("exhaustive", preemptions=1, memory="weak"),
            Search("pct", memory="sc"), Search("pct", memory="weak"))


def look_at(name: str, search: Search, seconds: float) -> bool:
    """Whether no schedule breaks a promise; says what the search proves."""
    race = OWN.get(name) or exhibit(name)
    memory = search.model(race)
    trials = hold_trials(race, "after", search.strategy(race), schedules=MAX_SCHEDULES, seconds=seconds,
                         audit_every=AUDIT_EVERY, memory=memory)
    bound = f" {search.preemptions}" if search.how == "exhaustive" else ""
    proved = trials.strategy.proves() or f"{trials.trials:,} schedules: no violation"
    said = f"after {trials.trials:,} schedules: {trials.text}" if trials.text else proved
    print(f"{name:<24}{search.how + bound:<14}{memory:<6}{said}", flush=True)
    return not trials.text


def main(seconds: str = "60", *names: str) -> int:
    kept = [look_at(name, search, float(seconds)) for name in names or SUBJECTS for search in SEARCHES]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
