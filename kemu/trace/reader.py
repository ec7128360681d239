"""Read the rings of all CPUs and merge them into one order.

Events are in order of CLOCK_MONOTONIC, on which all host cores agree; events of
one CPU keep their order.  A ring that was overwritten says how many were lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kemu import native
from kemu.memory.points import point_name
from kemu.trace import events as ev


@dataclass(frozen=True)
class Event:
    """One event.  ``who`` is the current task, ``subject`` the task it was about, or ""."""

    ns: int
    id: int
    cpu: int
    pid: int
    who: str
    subject_pid: int
    subject: str
    a: int
    b: int
    c: int
    point: str = ""         # the name, if it is a point

    @property
    def name(self) -> str:
        return ev.NAMES.get(self.id, f"event_{self.id}")


@dataclass(frozen=True, repr=False)
class Trace:
    """All events that were there, oldest first, and how many each CPU lost."""

    events: list[Event]
    lost: dict[int, int]

    def __repr__(self) -> str:
        """How many events of which CPUs, over how much time, and how many were overwritten."""
        if not self.events:
            return "<kemu.Trace: no events>"
        span = (self.events[-1].ns - self.events[0].ns) / 1e6
        cpus = ", ".join(map(str, sorted({event.cpu for event in self.events})))
        lost = sum(self.lost.values())
        return (f"<kemu.Trace: {len(self.events)} events of CPUs {cpus} in {span:.3f} ms"
                f"{f', {lost} older ones overwritten' if lost else ''}>")


def read(memory: native.Memory, since: dict[int, int] | None = None) -> Trace:
    """What the rings hold now; since: only events from that number on, by CPU."""
    found: list[Event] = []
    lost: dict[int, int] = {}
    for cpu in range(memory.nr_cpus):
        first = (since or {}).get(cpu, 0)
        head, raw = memory.events(cpu, first)
        lost[cpu] = head - first - len(raw)
        found += [_event(memory, Event(*fields)) for fields in raw]
    found.sort(key=lambda event: event.ns)      # stable: one CPU's order is kept
    return Trace(found, lost)


def _event(memory: native.Memory, event: Event) -> Event:
    if event.id != ev.POINT:
        return event
    return replace(event, point=point_name(memory, event.a))


def heads(memory: native.Memory) -> dict[int, int]:
    """Where each ring is now: events from here on are new."""
    return {cpu: memory.events(cpu, 1 << 62)[0] for cpu in range(memory.nr_cpus)}


def only(events: Iterable[Event], *ids: int) -> list[Event]:
    """The events of these kinds."""
    return [event for event in events if event.id in ids]
