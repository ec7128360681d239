"""Plan: how to run a race, and when a side of it ends.

Linux: none; kemu's own.
Locks: none.  Callers: runner, side_run.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from kemu import native
from kemu.errors import refuse
from kemu.machine.jitter import check_grain
from kemu.machine.arguments import MAX_SECONDS, check_flag, check_int, check_seconds

HOWS = ("forced", "jitter", "free")

FIRST_HITS = 5                  # hits that end an unsteered side that is expected to hit: enough for a rate
FORCED_TRIALS, SECONDS = 100, 10.0
MAX_JOBS = 512                  # a host with more cores has not been seen
MAX_INT = 1 << 62               # of what goes into a word


@dataclass(frozen=True)
class Plan:
    """How to run a race.  Raises UsageError for a wrong argument."""

    how: str = "forced"
    trials: int | None = None       # None: 100 forced, otherwise as many as the time allows
    seconds: float | None = None    # of each side; None: 10, or no limit if trials are given
    seed: int = 1
    cpus: int | None = None         # more than the race needs
    enough_hits: int = FIRST_HITS   # hits that end an unsteered side that is expected to hit
    grain: str = "points"           # where jitter acts: at points, or at every operation too
    jobs: int | None = None         # machines side by side; None: as many as have cores of their own
    points: bool = True             # False: points are recorded, and do nothing else
    report_dir: str | PathLike[str] | None = None   # the folder for the report of each trial that hung
    stuck_seconds: float | None = None      # a trial that takes longer is stuck; None: 20

    def __post_init__(self) -> None:
        if self.how not in HOWS:
            raise refuse("how", self.how, f"one of {', '.join(HOWS)}")
        check_grain(self.grain)
        if self.grain == "ops" and self.how != "jitter":
            raise refuse("grain", self.grain, f"it is where jitter acts, and how={self.how!r} has no "
                         'jitter: say how="jitter"')
        if not check_flag("points", self.points) and self.how == "forced":
            raise refuse("points", self.points, 'how="forced" holds tasks at points: say how="jitter"')
        if self.trials is not None:
            check_int("trials", self.trials, 1, MAX_INT, "a number of trials of each side")
        if self.cpus is not None:
            check_int("cpus", self.cpus, 1, native.MAX_CPUS, "a number of CPUs")
        if self.jobs is not None:
            check_int("jobs", self.jobs, 1, MAX_JOBS, "a number of machines")
        check_int("seed", self.seed, -MAX_INT, MAX_INT, "a number")
        check_int("enough_hits", self.enough_hits, 1, MAX_INT, "a number of hits")
        if self.report_dir is not None and not isinstance(self.report_dir, str | PathLike):
            raise refuse("report_dir", self.report_dir, "the path of a folder")
        for name in ("seconds", "stuck_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not check_seconds(name, seconds):
                raise refuse(name, seconds, "a number of seconds, more than 0 and "
                             f"at most {MAX_SECONDS:.0f}")

    @property
    def forced(self) -> bool:
        """Whether a script holds tasks."""
        return self.how == "forced"

    @property
    def options(self) -> str:
        """The plan as options of `kemu race`."""
        given = {"trials": self.trials, "seconds": self.seconds, "cpus": self.cpus, "jobs": self.jobs,
                 "grain": self.grain if self.grain != "points" else None}
        return f"--how {self.how} --seed {self.seed}" + "".join(
            f" --{name} {value}" for name, value in given.items() if value is not None)

    @property
    def max_trials(self) -> int:
        """After so many trials a side ends."""
        if self.trials is not None:
            return self.trials
        return FORCED_TRIALS if self.forced else 1 << 40

    @property
    def max_seconds(self) -> float:
        """After so many seconds a side ends."""
        if self.seconds is not None:
            return self.seconds
        return 1e6 if self.trials is not None or self.forced else SECONDS

    def max_hits(self, expected: bool) -> int | None:
        """After so many hits a side ends; None: never.  expected: the side is to hit."""
        return self.enough_hits if expected and not self.forced else None
