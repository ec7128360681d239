"""``kemu race``: run races on both sides, and show what each side did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kemu.cli import options
from kemu.cli.confirm import write_script
from kemu.cli.show import Answers, Progress, program
from kemu.errors import UsageError
from kemu.exits import Exit, worst
from kemu.explore.run import HOWS as SEARCHES
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import Schedule, parse
from kemu.harness.race import Race
from kemu.harness.plan import MAX_JOBS
from kemu.harness.record import as_json
from kemu.harness.runner import HOWS, Interrupted, Plan, run_race
from kemu.harness.text import outcome_text, summary
from kemu.harness.verdict import Outcome, Side
from kemu.races import EXHIBITS, exhibit, find
from kemu.trace import ftrace

BOTH = "both"
OF_A_RUN = ("trials", "cpus", "grain", "report_dir")     # what a search does not take
OF_ITS_WAY = (*OF_A_RUN, "jobs")                        # what does not apply if --all searches a race instead


@click.command()
@click.argument("what", required=False, metavar="NAME|FILE[:NAME]",
                shell_complete=lambda ctx, param, begun: [n for n in EXHIBITS if n.startswith(begun)])
@click.option("--all", "everything", is_flag=True, help="Run every race of `kemu races`.")
@click.option("--side", default=BOTH, show_default=True, metavar="NAME",
              help="Which side to run: before, after or another side of the race, such as a release; "
              "both: all its sides.")
@click.option("--how", type=click.Choice([*HOWS, *SEARCHES]),
              help="forced: a script holds tasks at points.  jitter: random delays at points.  free: "
              "nothing is delayed.  random, pct, exhaustive: one CPU runs at a time, and a search "
              "chooses every switch.  [default: forced if the race has a script, otherwise jitter; "
              "exhaustive if its sides differ by a memory barrier]")
@click.option("--grain", type=click.Choice(["points", "ops"]),
              help="Where jitter acts: at points only, or at every operation on shared memory, "
              "which then takes interrupts and preemption too.  [default: points]")
@click.option("--trials", type=click.IntRange(1), metavar="N",
              help="At most so many trials of each side.  [default: 100 if forced, otherwise no limit]")
@options.seconds(None, "At most so long for each side.  [default: no limit if forced or with "
                 "--trials, otherwise 10]")
@options.seed("For the delays of jitter.")
@options.cpus(1, None, "Boot more CPUs than the race needs.")
@click.option("--jobs", type=click.IntRange(1, MAX_JOBS), metavar="N",
              help="How many machines run side by side; not with exhaustive.  [default: as many as have "
              "cores of their own; each takes one core in a search]")
@click.option("--report-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write the report of each trial that hangs into a file in DIR.")
@options.search
@options.json_file("Write one JSON object for each race, on a line of its own.")
@click.option("--trace", "trace_to", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write the trace of the first hit, or of the last machine, as ftrace prints it.")
def race(what: str | None, everything: bool, side: str, json_to: str | None,
         trace_to: Path | None, save_to: Path | None, script_to: Path | None, **plan: Any) -> Exit:
    """Run a race before its fix, where it must hit, and after its fix, where it must not.

    NAME is one of `kemu races`.  FILE is a Python file with a kemu.Race in it; `kemu new FILE`
    writes one to begin with.

    \b
    The verdict of a side is one of
      HIT      a side that must hit: the failure that the race names showed
      MISSED   a side that must hit, forced: in some trial it did not show
      CLEAN    a side that must be clean: no trial failed, and trials counted
      BROKEN   a side that must be clean: a trial failed
      UNKNOWN  the run proves nothing; the lines below the table say why
    """
    if bool(what) == everything:
        raise UsageError("`kemu race` takes one race, or --all.  `kemu races` lists the races.")
    races = [exhibit(name) for name in EXHIBITS] if everything else find(what or "")
    if trace_to and len(races) > 1:
        raise UsageError(f"--trace takes the trace of one race, and {len(races)} would be run: "
                         "name one of them")
    if script_to and (len(races) > 1 or plan["how"] not in SEARCHES):
        raise UsageError("--script writes what a search of one race found: name one race, and say --how "
                         + " or ".join(SEARCHES))
    options.begin_files(json_to, trace_to, save_to)
    answers = Answers(json_to)
    series = _Series(races, (what or "").partition(":")[0], everything, answers)
    sides = None if side == BOTH else (side,)
    for number, one in enumerate(races, 1):
        outcome = series.run(number, one, plan, sides)
        if json_to:
            options.append_line(json_to, as_json(one, outcome))
        if trace_to:
            _write_trace(trace_to, outcome)
        schedule = _schedule(outcome)
        if save_to and schedule:
            save_to.write_text(schedule.text)
        if script_to and schedule and not series.interrupted:
            answers.show(write_script(script_to, one, schedule, str(save_to or "")) + "\n")
        if series.interrupted:
            break
    return series.end()


class _Series:
    """The races of one command, run one after the other."""

    def __init__(self, races: list[Race], file: str, brief: bool, answers: Answers) -> None:
        """brief: show in full only what is not as expected."""
        self.races, self.file, self.brief, self.answers = races, file, brief, answers
        self.outcomes: list[Outcome] = []
        self.interrupted = False

    def run(self, number: int, race: Race, plan: dict[str, Any],
            sides: tuple[str, ...] | None) -> Outcome:
        """Run one race and show its outcome; after Ctrl-C, what it counted until then."""
        plan = plan_for(race, plan, self.brief)
        how = plan["how"]
        count = f"{number} of {len(self.races)}  " if len(self.races) > 1 else ""
        with Progress(f"{count}{race.name} {how}") as progress:
            def tell(side: Side) -> None:
                progress.say(f"{side.side}: {side.trials:,} trials, {side.hits:,} hits")

            try:
                outcome = _run(race, plan, sides, tell)
            except Interrupted as error:
                outcome, self.interrupted = error.outcome, True
        outcome.program = program()
        outcome.what = f"{self.file}:{race.name}" if self.file.endswith(".py") else ""
        self.outcomes.append(outcome)
        self._show(count, outcome)
        return outcome

    def _show(self, count: str, outcome: Outcome) -> None:
        if self.brief and outcome.exit is Exit.EXPECTED:
            self.answers.show(f"{count}{outcome.race} ({outcome.how}): as expected")
        else:
            self.answers.show(count + outcome_text(outcome, self.answers.width) + "\n")

    def end(self) -> Exit:
        """Show one table of all, if there were several; the exit status."""
        if len(self.races) > 1:
            self.answers.show("\n" + summary(self.outcomes, self.answers.width))
        if self.interrupted:
            where = f" in race {len(self.outcomes)} of {len(self.races)}" if len(self.races) > 1 else ""
            self.answers.show(f"interrupted{where}; what was counted until then is above")
            return Exit.INTERRUPTED
        return worst(outcome.exit for outcome in self.outcomes)


def plan_for(race: Race, given: dict[str, Any], everything: bool) -> dict[str, Any]:
    """What was given, and how the race is to be run.

    With --all, a race whose sides differ by a memory barrier is searched, whatever way was given:
    nothing else shows it.  Then the options of a run do not apply.
    """
    how = given["how"] or race.default_how
    if everything and race.memory != "sc" and given["how"] not in SEARCHES:
        return given | dict.fromkeys(OF_ITS_WAY) | {"how": race.default_how}
    return given | {"how": how}


def _run(race: Race, given: dict[str, Any], sides: tuple[str, ...] | None,
         tell: Callable[[Side], None]) -> Outcome:
    """Run the race in the way that was given.  Raises UsageError for an option of another way."""
    searches = given["how"] in SEARCHES
    foreign = OF_A_RUN if searches else options.OF_A_SEARCH
    for name in foreign:
        if given[name] is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} was given with --how {given['how']}, which does not take it: "
                             f"{'say --schedules' if name == 'trials' else 'leave it out'}")
    own = {name: value for name, value in given.items() if name not in foreign and value is not None}
    if not searches:
        return run_race(race, Plan(**own), sides, tell)
    return explore_race(race, Search(**own), sides, tell)


def _schedule(outcome: Outcome) -> Schedule | None:
    """The schedule of the first side that has one; it names the race as the command did."""
    for side in outcome.sides.values():
        if side.schedule:
            return replace(parse(side.schedule), race=outcome.what or outcome.race)
    return None


def _write_trace(path: Path, outcome: Outcome) -> None:
    for side in sorted(outcome.sides.values(), key=lambda side: not side.hits):
        if side.trace is not None:
            path.write_text(ftrace.text(side.trace))
            return
