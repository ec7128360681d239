"""A work on keventd that waits for a program to start: the stage of two deadlocks of 2004.

kemu.kernel.v2_6.kmod starts the program.  H is the task that execs it.
"""

from __future__ import annotations

from typing import Any

import kemu
from kemu.harness.race import Race
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.kernel.v2_6 import kmod
from kemu.kernel.v2_6.kmod import HELPER, SubprocessInfo

__all__ = ["HELPER", "exec_is_under_way", "race_with_a_helper", "wait_for_the_work"]


class Stage(kemu.PerCPU, keep=True):
    """Of CPU 0: there is one caller at a time."""

    info = kemu.Embedded(SubprocessInfo)


def wait_for_the_work(t: Trial) -> None:
    """Return when keventd is in the trial's work."""
    while Stage.on(0).info.started.load() < t.number:
        sched.yield_()


def exec_is_under_way() -> bool:
    """Whether keventd is in the work, and H has not got through its exec yet."""
    info = Stage.on(0).info
    return bool(info.executed.load() < info.started.load())


def helper_has_executed(t: Trial) -> None:
    """A postcondition: every program that was started has got through its exec, and was moved."""
    info = Stage.on(0).info
    assert info.executed.load() == info.started.load() == t.number, (
        f"{info.started.load()} programs were started in {t.number} trials, and "
        f"{info.executed.load()} executed")
    assert info.moved.load() == t.number, f"{info.moved.load()} of {t.number} were moved by exec"


def caller(t: Trial) -> None:
    """Have the program started."""
    with t.window():
        kmod.call_usermodehelper(Stage.on(0).info)


def race_with_a_helper(name: str, caller_cpu: int, labels: dict[str, str], **options: Any) -> Race:
    """A race on this stage.  Its file adds who waits for keventd, and what the fix replaced."""
    race = Race(name, kernel="2.6.6", fix="sched_balance_exec-fix", expects="a cycle of waits",
                names={HELPER: "H"}, labels=LABELS | labels, budget="jitter: a hit within 5 s", **options)
    race.actor(cpu=caller_cpu)(caller)
    race.postcondition(helper_has_executed)
    return race


LABELS = {"start[caller]": "call_usermodehelper()", "helper:execs[helper]": "H: exec",
          "kemu_panic": "{who} waits for ever"}
