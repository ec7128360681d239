"""Percentiles, aligned tables, and ratios with a goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which that share of an ascending list lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summary(ns: Sequence[float]) -> dict[str, float]:
    """What a row of a table shows, in microseconds."""
    ordered = sorted(ns)
    return {"n": len(ordered), "min_us": ordered[0] / 1e3, "p50_us": median(ordered) / 1e3,
            "p99_us": percentile(ordered, 99) / 1e3, "max_us": ordered[-1] / 1e3}


def us(value: float) -> str:
    """Microseconds, with three digits that mean something."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    return "\n".join("  " + "  ".join(
        cell.ljust(width) if not i else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in [head, *rows])


@dataclass(frozen=True)
class Goal:
    """A figure, what it should be, and how far it swung between rounds."""

    what: str
    value: float
    limit: float
    at_most: bool = True
    unit: str = "x"
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> str:
        met = self.value <= self.limit if self.at_most else self.value >= self.limit
        return "met" if met else "short"

    def row(self) -> list[str]:
        """The goal as a line of a table; see GOAL_HEAD."""
        swing = "" if self.low is None else f"{self.low:.1f} to {self.high:.1f}"
        return [self.what, f"{self.value:.1f} {self.unit}", swing,
                f"{'at most' if self.at_most else 'at least'} {self.limit:g} {self.unit}",
                self.verdict]


GOAL_HEAD = ["goal", "is", "rounds", "should be", "verdict"]


def ratio(what: str, above: Sequence[float], below: Sequence[float], limit: float,
          at_most: bool) -> Goal:
    """A ratio of two contenders' medians, round by round: its median, lowest and highest."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return Goal(what, median(ratios), limit, at_most, low=min(ratios), high=max(ratios))


class Report:
    """Prints as it goes, and keeps the figures for --json."""

    SCHEMA = 1

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.goals: list[dict[str, Any]] = []
        self.errors: dict[str, str] = {}

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.say(table(head, rows) + "\n")

    def judge(self, *goals: Goal) -> None:
        """Print goals with their verdicts, and keep them."""
        self.goals += [asdict(goal) | {"verdict": goal.verdict} for goal in goals]
        self.table(GOAL_HEAD, [goal.row() for goal in goals])

    def as_json(self, **more: Any) -> dict[str, Any]:
        """All of it, for a file."""
        return {"schema": self.SCHEMA, **more, "results": self.results, "goals": self.goals,
                "errors": self.errors}


def contest(report: Report, took: dict[str, list[list[int]]], base: str,
            base_name: str) -> tuple[dict[str, dict[str, float]], dict[str, list[float]]]:
    """Print contenders' rounds of nanoseconds beside one of them; their summaries, and rounds' medians."""
    middles: dict[str, list[float]] = {name: [median(ns) for ns in rounds]
                                       for name, rounds in took.items()}
    sums = {name: summary([ns for part in rounds for ns in part]) for name, rounds in took.items()}
    report.table(
        ["contender", "n", "min", "p50", "p99", "max", "p50 by round", f"/ {base_name}"],
        [[name, str(s["n"]), us(s["min_us"]), us(s["p50_us"]), us(s["p99_us"]), us(s["max_us"]),
          f"{us(min(middles[name]) / 1e3)} to {us(max(middles[name]) / 1e3)}",
          f"{s['p50_us'] / sums[base]['p50_us']:.2f} x"] for name, s in sums.items()])
    return sums, middles
