"""Whether each worker still does rounds.

kemu's own.  A worker may stand still while the run stutters, because workers sleep then; so a
pause adds nothing to the time for which a worker stands still, and takes nothing from it.

Locks: none.  Callers: run.
"""

from __future__ import annotations

from collections.abc import Sequence


class Liveness:
    """How long each worker has done no round, in seconds in which it was to work."""

    def __init__(self, workers: int, now: float) -> None:
        self.looked = now
        self.rounds = [0] * workers
        self.still = [0.0] * workers

    def look(self, now: float, rounds: Sequence[int], paused: bool) -> None:
        """Take the workers' counts of rounds, as they are at this time (in seconds)."""
        worked = 0.0 if paused else now - self.looked
        self.still = [0.0 if new > old else seconds + worked
                      for new, old, seconds in zip(rounds, self.rounds, self.still, strict=True)]
        self.looked, self.rounds = now, list(rounds)

    def lost(self, limit: float) -> list[int]:
        """The numbers of the workers that have stood still for longer than so many seconds."""
        return [number for number, seconds in enumerate(self.still) if seconds > limit]
