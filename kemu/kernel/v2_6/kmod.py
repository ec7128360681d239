"""Start a program from the kernel, for example /sbin/hotplug: a work on keventd that waits for an exec.

Linux: kernel/kmod.c (2.6.6).  Not modelled: programs, and so request_module(), arguments,
environment and exit status.

    caller      queues the work, and waits for it
    keventd     __call_usermodehelper: creates H, and waits until H has executed the program
                (Linux: CLONE_VFORK)
    H           execs; exec balances, so H asks to be moved to another CPU

keventd is the only thread of its queue, so every other work waits for H as well.  H asks for
the move whether or not a CPU has less to do: that makes no difference to the locks.

    work, vfork, complete    <- by the three tasks, in turns: one caller at a time uses a structure
    started                  += 1 by keventd, before it creates H
    executed, moved          += 1 by H after its exec; moved only if H is where it wanted to be

Locks: none.  Callers: races, torture.
"""

from __future__ import annotations

from kemu.kernel.kthread import kthread_create_on_node
from kemu.kernel.own.hung import waiting_for
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.kernel.v2_6.migration import sched_migrate_task
from kemu.kernel.v2_6.workqueue import WorkStruct, init_work, schedule_work
from kemu.memory.struct import Embedded, Struct, Word
from kemu.native import current, smp_processor_id

HELPER = "helper"


class SubprocessInfo(Struct):
    """struct subprocess_info.  It may be used again and again, by one caller at a time."""

    work = Embedded(WorkStruct)
    vfork = Embedded(Completion)        # H has executed the program
    complete = Embedded(Completion)     # the caller may go on
    started = Word()                    # how many programs were ever started
    executed = Word()                   # of these, how many have got through their exec
    moved = Word()                      # of these, how many were where they wanted to be


def _destination() -> int:
    """Where H execs to: another CPU if one is online.  H's thread lives there from the start."""
    others: int = system.header.online_mask.load() & ~(1 << smp_processor_id())
    return others.bit_length() - 1 if others else smp_processor_id()


def ____call_usermodehelper(info: SubprocessInfo) -> int:
    """H: exec, as far as the scheduler takes part in it.  May sleep."""
    point("helper:execs")
    dest_cpu = _destination()
    sched_migrate_task(current(), dest_cpu)
    info.moved.add(int(smp_processor_id() == dest_cpu))
    info.executed.add(1)
    complete(info.vfork)
    return 0


def __call_usermodehelper(base: int) -> None:
    """The work: start H, and wait for its exec.  May sleep."""
    info = SubprocessInfo.at(system.memory, base)
    info.started.add(1)
    helper = kthread_create_on_node(____call_usermodehelper, info, -1, HELPER, home=_destination())
    wake_up_process(helper)
    with waiting_for(helper, "vfork"):
        wait_for_completion(info.vfork)
    complete(info.complete)


def call_usermodehelper(info: SubprocessInfo) -> None:
    """Have keventd start a program, and wait until the program has started.  May sleep."""
    init_work(info.work, __call_usermodehelper, info.base)
    schedule_work(info.work)
    wait_for_completion(info.complete)
