"""``kemu demo``: one race, shown; then the fixed kernel in the same steps; then both run free."""

from __future__ import annotations

import click

from kemu.cli import options
from kemu.cli.show import Answers, Progress, program
from kemu.exits import Exit, worst
from kemu.harness.runner import Plan, run_race
from kemu.harness.sides import AFTER, BEFORE
from kemu.harness.text import outcome_text, wrapped
from kemu.races import exhibit

RACE = "unpark-wrong-cpu"
FORCED_TRIALS = 10
STORY = ("Linux before 3.9: one thread unparks a kernel thread that belongs to CPU 2, and a stray "
         "wake-up comes at the wrong moment.  A script holds the unparker at that moment, so that it "
         "happens in every trial.  Then the fixed kernel runs through the same steps.")
FREE = ("The same race with nothing held.  The old kernel fails by itself after a while; the fixed "
        "kernel runs for {seconds:.0f} s.")


@click.command()
@options.seconds(15.0, "How long to run free, for each side, in the second part.")
def demo(seconds: float) -> Exit:
    """A kernel thread wakes up on the wrong CPU, as before Linux 3.9; then the fix."""
    answers = Answers()
    return worst([_part(answers, STORY, Plan("forced", trials=FORCED_TRIALS)),
                  _part(answers, FREE.format(seconds=seconds), Plan("free", seconds=seconds))])


def _part(answers: Answers, story: str, plan: Plan) -> Exit:
    answers.show("\n" + wrapped(story, answers.width, hang="") + "\n")
    with Progress(f"{RACE} {plan.how}") as progress:
        outcome = run_race(exhibit(RACE), plan, (BEFORE, AFTER), progress=lambda side: progress.say(
            f"{side.side}: {side.trials:,} trials, {side.hits:,} hits"))
    outcome.program = program()
    answers.show(outcome_text(outcome, answers.width))
    return outcome.exit
