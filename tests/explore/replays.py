"""How many replays of a found schedule, each in a fresh machine, are the same step for step.

    python -m tests.explore.replays [--replays N] [--seconds S] [RACE...]

Each race's before side is searched, by pct at first, then by random, then exhaustively, for at most so
many seconds each.  The schedule of the hit is shortened and written as text, and the text is run again N
times.  A replay counts if each step and the outcome are the same.  The rows are those of docs/records.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from kemu.explore.replay import replay
from kemu.explore.run import Search, explore_race
from kemu.explore.schedule import Schedule, parse
from kemu.harness.race import Race
from kemu.races import EXHIBITS, exhibit

REPLAYS, SECONDS = 100, 60.0
HOWS = ("pct", "random", "exhaustive")


def found(race: Race, seconds: float) -> tuple[str, Schedule | None]:
    """How a schedule was found that hits, and the schedule; None if none was."""
    for how in HOWS:
        side = explore_race(race, Search(how, seconds=seconds), ["before"]).sides["before"]
        if side.hits and side.schedule:
            return how, parse(side.schedule)
    return ", ".join(HOWS), None


def row(name: str, replays: int, seconds: float) -> str:
    """The race's row of the table."""
    how, schedule = found(exhibit(name), seconds)
    if schedule is None:
        return f"| {name} | {how} | no hit in {seconds:g} s each | |"
    said: Counter[str] = Counter()
    for _ in range(replays):
        again = replay(exhibit(name), schedule)
        said["" if again.same else again.remarks[-1]] += 1
    cells = [f"{said['']} of {replays}", *(f"{count}: {remark}" for remark, count in said.items() if remark)]
    return f"| {name} | {how} | {len(schedule.lines):,} | {'; '.join(cells)} |"


def rows(names: list[str], replays: int, seconds: float) -> Iterator[str]:
    for name in names:
        yield row(name, replays, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Replay a found schedule of each race.")
    parser.add_argument("races", nargs="*", metavar="RACE", help="of `kemu races`; all by default")
    parser.add_argument("--replays", type=int, default=REPLAYS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    args = parser.parse_args()
    print("| race | found by | steps | the same |\n|---|---|---|---|")
    for line in rows(args.races or list(EXHIBITS), args.replays, args.seconds):
        print(line, flush=True)
