"""A work on keventd that waits for a program to start: the stage of two deadlocks of 2004.

The kernel starts a program, for example /sbin/hotplug, through a work:

    caller      queues the work, and waits for it
    keventd     __call_usermodehelper: creates H, and waits until H has executed the program
    H           execs; exec balances, so H asks to be moved to another CPU

keventd is the only thread of its queue, so every other work waits for H as well.  H asks for
the move whether or not a CPU has less to do: that makes no difference to the lock.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import sched
from kemu.kernel.kthread import kthread_create_on_node
from kemu.kernel.own.hung import waiting_for
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.v2_6.migration import sched_migrate_task
from kemu.kernel.v2_6.workqueue import WorkStruct, init_work, schedule_work

HELPER = "helper"


class SubprocessInfo(kemu.PerCPU, keep=True):
    """struct subprocess_info.  Of CPU 0: there is one caller at a time."""

    work = kemu.Embedded(WorkStruct)
    vfork = kemu.Embedded(Completion)       # H has executed the program
    complete = kemu.Embedded(Completion)    # the caller may go on
    started = kemu.Word()                   # how many programs ever started
    executed = kemu.Word()                  # of these, how many have got through their exec
    moved = kemu.Word()                     # of these, how many were on another CPU then


def destination() -> int:
    """Where H execs to.  H lives there from the start, so that it takes turns with no task of this CPU."""
    others: int = system.header.online_mask.load() & ~(1 << sched.smp_processor_id())
    return others.bit_length() - 1


def ____call_usermodehelper(data: None) -> int:
    """H: exec, as far as the scheduler takes part in it."""
    kemu.point("helper:execs")
    dest_cpu = destination()
    sched_migrate_task(sched.current(), dest_cpu)
    info = SubprocessInfo.on(0)
    info.moved.add(int(sched.smp_processor_id() == dest_cpu))
    info.executed.add(1)
    complete(info.vfork)
    return 0


def __call_usermodehelper(data: int) -> None:
    """The work: start H, and wait for its exec (Linux: CLONE_VFORK)."""
    info = SubprocessInfo.on(0)
    info.started.add(1)
    helper = kthread_create_on_node(____call_usermodehelper, None, -1, HELPER, home=destination())
    sched.wake_up_process(helper)
    with waiting_for(helper, "vfork"):
        wait_for_completion(info.vfork)
    complete(info.complete)


def wait_for_the_work(t: Trial) -> None:
    """Return when keventd is in the trial's work."""
    while SubprocessInfo.on(0).started.load() < t.number:
        sched.yield_()


def exec_is_under_way() -> bool:
    """Whether keventd is in the work, and H has not got through its exec yet."""
    info = SubprocessInfo.on(0)
    return bool(info.executed.load() < info.started.load())


def helper_has_executed(t: Trial) -> None:
    """A postcondition: every program that was started has got through its exec, and was moved."""
    info = SubprocessInfo.on(0)
    assert info.executed.load() == info.started.load() == t.number, (
        f"{info.started.load()} programs were started in {t.number} trials, and "
        f"{info.executed.load()} executed")
    assert info.moved.load() == t.number, f"{info.moved.load()} of {t.number} were moved by exec"


def call_usermodehelper(t: Trial) -> None:
    """What the caller does: queue the work, and wait until the program has started."""
    info = SubprocessInfo.on(0)
    with t.window():
        init_work(info.work, __call_usermodehelper, 0)
        schedule_work(info.work)
        wait_for_completion(info.complete)
