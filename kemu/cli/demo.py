"""The demo: seed 000's first race, shown, then fixed, then run free."""

from __future__ import annotations

from rich.console import Console

from kemu.races import exhibit
from kemu.harness.runner import Plan, run_race
from kemu.harness.display import Show
from kemu.exits import Exit, worst

FORCED = Plan("forced", trials=10)


def show_demo(answers: Console, progress: Console, seconds: float) -> Exit:
    """Run it and say what is seen; the exit status of the worst part."""
    show, race = Show(answers, progress), exhibit("unpark-wrong-cpu")
    answers.print("\nLinux before 3.9: a script holds the unparker at the fatal point. "
                  "Then the fixed kernel, in the same steps.\n", highlight=False)
    with show.progress(race, "forced") as tell:
        forced = run_race(race, FORCED, progress=tell)
    show.outcome(race, forced)
    answers.print(f"And {seconds:.0f} s of the fixed kernel with nothing held, "
                  "after the old one has failed by itself.\n", highlight=False)
    with show.progress(race, "free") as tell:
        free = run_race(race, Plan("free", seconds=seconds), progress=tell)
    show.outcome(race, free)
    return worst([forced.exit, free.exit])
