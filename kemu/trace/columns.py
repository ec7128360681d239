"""Interleavings as fix commits draw them: a column per CPU, time downward.

    CPU0                     CPU1                     CPU2
    unpark(T)
      clear(SHOULD_PARK)
                                                      wake_up_process(T)
                             T runs

Only labelled events are drawn.  A label's key is a point's name, or an event's name
with a task in brackets where it matters, the subject or who does it:
``sched_waking[victim/2]``; ``sched_switch[victim/2 out]`` is when it stops.  In its
text, {who} and {subject} stand for tasks, {a}, {b}, {c} for the event's words.  The key
``point[TASK]`` is for every other point that the task passes, {point} its name.
Times are microseconds since the first line.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kemu.trace import events as ev
from kemu.trace.reader import Event, Trace

LAST_TRIAL = "start"        # the point at which each actor of a trial begins
GUTTER = 3
NARROWEST = 12
MARK = "<-- here"
FIRST_LINES, LAST_LINES = 20, 60        # of a long diagram; the steps between are left out


@dataclass(frozen=True)
class Line:
    """One thing that happened, as it is drawn."""

    ns: int
    cpu: int
    text: str
    guilty: bool = False


def draw(trace: Trace, *, labels: Mapping[str, str], names: Mapping[str, str] | None = None,
         since: str = "", tail: int = 0, verdict: str = "", width: int | None = None) -> str:
    """The diagram of a trace.

    names: what tasks are called in it, and in its legend.  since: from the last time
    that every CPU's task passed this point, that is, from the last trial.  verdict:
    what the guilty line (the panic, or the last) led to.
    """
    events = trace.events[-tail:] if tail else trace.events
    if since:
        events = _last_trial(events, since)
    lines = shortened(to_lines(events, labels, names or {}))
    if not lines:
        return "(no labelled event was recorded)"
    return "\n".join([*_table(lines, width or terminal_width()),
                      *_legend(names or {}, verdict, trace)])


def shortened(lines: list[Line]) -> list[Line]:
    """At most FIRST_LINES + LAST_LINES of them, and one that says how many are left out."""
    left_out = len(lines) - FIRST_LINES - LAST_LINES
    if left_out <= 0:
        return lines
    gap = lines[FIRST_LINES]
    return [*lines[:FIRST_LINES], Line(gap.ns, gap.cpu, f"({left_out:,} steps are left out)"),
            *lines[-LAST_LINES:]]


def default_labels(tasks: Iterable[str]) -> dict[str, str]:
    """Labels for a race that has none: the points that its actors pass, and when they run."""
    labels = {"kemu_panic": "panic"}
    for task in tasks:
        labels |= {f"point[{task}]": "{point}", f"sched_switch[{task}]": "{subject} runs"}
    return labels


def terminal_width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _last_trial(events: list[Event], point: str) -> list[Event]:
    """The events from where each task last passed the point."""
    seen: set[str] = set()
    first = 0
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        if event.id == ev.POINT and event.point == point:
            if event.who in seen:
                break
            seen.add(event.who)
            first = index
    return events[first:]


def to_lines(events: Iterable[Event], labels: Mapping[str, str],
             names: Mapping[str, str]) -> list[Line]:
    """The labelled events in words.  The panic is the guilty line, or the last line without one."""
    lines = []
    for event in events:
        label = _label(event, labels)
        if label is not None:
            text = label.format(point=event.point, who=names.get(event.who, event.who), a=event.a, b=event.b,
                                c=event.c, subject=names.get(event.subject, event.subject))
            lines.append(Line(event.ns, event.cpu, text, event.id == ev.PANIC))
    if lines and not any(line.guilty for line in lines):
        last = lines[-1]
        lines[-1] = Line(last.ns, last.cpu, last.text, guilty=True)
    return lines


def _label(event: Event, labels: Mapping[str, str]) -> str | None:
    name = event.point if event.id == ev.POINT else event.name
    who = f"{name}[{event.who}{' out' if event.id == ev.SCHED_SWITCH else ''}]"
    for key in (f"{name}[{event.subject}]", who, name):
        if key in labels:
            return labels[key]
    return labels.get(f"point[{event.who}]") if event.id == ev.POINT else None


def _table(lines: list[Line], width: int) -> list[str]:
    """Header and rows, each cell folded to its column."""
    cpus = sorted({line.cpu for line in lines})
    room = (width - 9 - len(MARK)) // len(cpus) - GUTTER
    widest = max(len(line.text) for line in lines)
    column = max(NARROWEST, min(room, widest))
    blank = " " * (column + GUTTER)
    rows = [f"{'us':>7}  " + "".join(f"CPU{cpu}".ljust(column + GUTTER) for cpu in cpus).rstrip()]
    for line in lines:
        time = f"{(line.ns - lines[0].ns) / 1000:7.1f}  "
        before = blank * cpus.index(line.cpu)
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        folded = textwrap.wrap(line.text, column, subsequent_indent=indent + "  ",
                               drop_whitespace=True, initial_indent="") or [""]
        folded[0] = indent + folded[0].lstrip() if indent else folded[0]
        for number, part in enumerate(folded):
            row = (time if not number else " " * 9) + before + part
            if line.guilty and number == len(folded) - 1:
                row = row.ljust(9 + len(cpus) * len(blank)) + MARK
            rows.append(row.rstrip())
    return rows


def _legend(names: Mapping[str, str], verdict: str, trace: Trace) -> list[str]:
    legend = [f"{short} is {name}" for name, short in names.items()]
    lost = sum(trace.lost.values())
    if lost:
        legend.append(f"{lost} older events were overwritten")
    lines = ["", "legend: " + "; ".join(legend)] if legend else []
    if verdict:
        lines += ["", *(f"  {line}" for line in verdict.strip().splitlines())]
    return lines
