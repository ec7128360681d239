"""Why the run of a side proves nothing, and what its reader should also know.

A doubt makes a side UNKNOWN.  A note does not.

Linux: none; kemu's own.
Locks: none.  Callers: side_jobs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from types import FunctionType

from kemu.harness.operation import Operation
from kemu.harness.race import Race
from kemu.harness.script import DONE, START, Ended, did_its_part, told
from kemu.harness.sides import HIT
from kemu.harness.tally import Totals
from kemu.harness.verdict import Side
from kemu.kernel.own.points import POINTS
from kemu.trace import events
from kemu.trace.reader import Event


def find(race: Race, side: Side, totals: Totals, called: dict[str, int]) -> None:
    """Write into the side what its counts leave in doubt."""
    found = list(side.doubts)
    found += [f"the override of {name.partition(':')[2]} was never called"
              for name, calls in called.items() if not calls]
    if side.how == "forced":
        found += _doubts_of_holds(race, side, totals)
        side.holds = list(_told_holds(race, side, totals))
    found += _doubts_of_witnesses(race, side, totals)
    side.turns, side.turns_allowed = totals.turns, race.turns_allowed
    if (race.invariants or race.postconditions) and not totals.asserted and not side.hits:
        found.append("no invariant was ever evaluated")
    if side.expect == HIT and not side.hits and side.how != "forced" and not side.doubts:
        found.append(f"it never hit: give it more time, or --how {race.default_how}")
    if not side.witnessed and not found:
        found.append(_why_none_counts(race, side, totals))
    side.doubts = list(dict.fromkeys(found))
    side.notes += list(_notes(side))


def _why_none_counts(race: Race, side: Side, totals: Totals) -> str:
    if side.how == "forced" and (totals.met or any(totals.seen)):
        return "no trial ran as the script says"
    if totals.turns and not race.turns_allowed and (totals.met or any(totals.seen)):
        return ("in each trial that would count, tasks took turns at one interpreter: give each a home of "
                "its own, kthread_create_on_node(home=), or say race.takes_turns(why)")
    return _doubt_of_windows(totals)


def _doubts_of_witnesses(race: Race, side: Side, totals: Totals) -> Iterator[str]:
    for number, witness in enumerate(race.witnesses):
        if witness in race.witnesses_of(side.side):
            side.seen[witness.name] = totals.seen[number]
            side.meanings[witness.name] = witness.meaning
            if not totals.seen[number] and not _follows_a_failing_order(race, side):
                yield f"the witness {witness.name!r} was never seen: {witness.meaning}"


def _follows_a_failing_order(race: Race, side: Side) -> bool:
    """Whether the side has hit by a script that follows one failing order, as a search writes it.

    The order need not come by the place where a task looks for the witness.  Then a hit is proof enough.
    """
    hit = side.hits and side.expect == HIT and side.how == "forced"
    return bool(hit) and race.is_held_at_operations(side.side)


def _doubt_of_windows(totals: Totals) -> str:
    """Why no trial of a race without witnesses counts, and what to add to its file."""
    if totals.windows.bit_count() > 1:
        return "the sides never met in the window"
    opened = "only one task opened a window" if totals.windows else "no task opened a window"
    return (f"{opened}, and the race declares no witness: a trial counts only if it shows that the "
            "tasks met; put `with t.window():` around what races in two actors, or declare "
            "race.witness(...) and call t.witness(...) where a task sees the dangerous state")


def _doubts_of_holds(race: Race, side: Side, totals: Totals) -> Iterator[str]:
    """A doubt for a hold that never did its part, and one for an awaited point that no task passed."""
    for number, hold in enumerate(race.holds):
        ended = totals.ended[number]
        if not any(ended) or hold.implied:
            continue
        if not any(count for how, count in zip(Ended, ended, strict=True)
                   if did_its_part(hold, how)):
            how = Ended(ended.index(max(ended)))
            if how is not Ended.NEVER_REACHED or not _hit_came_first(race, side, hold.who, hold.at):
                yield told(hold, how) + _close_point(side, hold.at)
        elif not totals.passed[number] and not _hit_came_first(race, side, hold.until_who, hold.until):
            what = repr(hold.until) if isinstance(hold.until, str) else f"its {hold.until}"
            yield (f"{hold.until_who} never passed {what}, for which {hold.who} was held "
                   f"({hold.line})" + _close_point(side, hold.until))


def _hit_came_first(race: Race, side: Side, who: str, place: str | Operation) -> bool:
    """Whether a side that is expected to hit has hit, and there are a task and a point of these names.

    A hit may come before the task passes the point.  A misspelt name is passed by no task.
    """
    if not side.hits or side.expect != HIT:
        return False
    names = {actor.name for actor in [*race.actors, *race.kthreads]}
    named = who in names | {event.who for event in _events(side)}
    functions: list[FunctionType] = [
        function for step in race.steps() for function in step.__globals__.values()
        if isinstance(function, FunctionType)]
    codes = [function.__code__ for function in [*race.steps(), *functions]]
    consts = {const for code in codes for const in code.co_consts if isinstance(const, str)}
    points = {START, DONE, *POINTS, *_points(side), *consts}
    return named and (isinstance(place, Operation) or place in points)


def _events(side: Side) -> list[Event]:
    return side.trace.events if side.trace is not None else []


def _points(side: Side) -> set[str]:
    """The points that tasks passed, as far as the last trace goes back."""
    return {event.point for event in _events(side) if event.id == events.POINT}


def _close_point(side: Side, name: str | Operation) -> str:
    """A point that was passed and is spelt nearly like a name that was not."""
    if isinstance(name, Operation):
        return ""
    passed = _points(side) | {START, DONE}
    close = difflib.get_close_matches(name, passed, 1)
    return f"; did you mean {close[0]!r}?" if close and name not in passed else ""


def _told_holds(race: Race, side: Side, totals: Totals) -> Iterator[str]:
    """For each hold, how it ended and how often."""
    for number, hold in enumerate(race.holds):
        if hold.implied:
            continue
        for how, count in zip(Ended, totals.ended[number], strict=True):
            if count:
                yield f"{count:,} of {sum(totals.ended[number]):,}: {told(hold, how)}"


def _notes(side: Side) -> Iterator[str]:
    left = side.trials - side.witnessed
    if side.how == "forced" and side.witnessed and left:
        yield f"{left:,} of {side.trials:,} trials do not count: the script did not do its part"
