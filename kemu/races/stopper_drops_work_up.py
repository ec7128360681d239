"""stopper-drops-work-up: of two stop works one is accepted, and that for an upcoming CPU dropped.

Fix: 233e7f267e58 (Linux 4.4) and what its series builds on it: stop_two_cpus() asks both
stoppers, under their locks, instead of cpu_active().  Linux: kernel/stop_machine.c,
kernel/cpu.c, kernel/sched/core.c.

The twin of stopper-drops-work, which that guard hides.  CPU1 comes up while CPU2 wants
to stop itself and CPU1 together.

    CPU0                        CPU1                  CPU2
    cpu_up(1)                   starting: active
                                online, idle
                                                      stop_two_cpus(2, 1)
                                                        both are active
                                                        CPU1's stopper is not enabled:
                                                          complete the work, not run
                                                        CPU2's is: accepted
                                                      multi_cpu_stop: waits for
                                                      CPU1 for ever
    stop_machine_unpark(1)

Before, the guard was no promise on the way up: active was set first of all, at
CPU_STARTING (since 5fbd036b552f, Linux 3.4), and the stopper enabled last, by the
control task.  After, either both stoppers have accepted or none has, whatever the order.
"""

from __future__ import annotations

from errno import ENOENT

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import cpu_stop, sched, stop_machine
from kemu.kernel.hotplug import cpu, sched_cpu as hotplug
from kemu.kernel.own.system import system
from kemu.machine.override import original_of
from kemu.native import preempt_disable, preempt_enable
from kemu.races import stopper_drops_work as down, stopper_enabled_late as late

race = kemu.Race(
    "stopper-drops-work-up", cpus=3, placement=(0, 1, 0), fix="233e7f267e58",
    title="stop_two_cpus() trusts cpu_active(), and the CPU's stopper is not enabled yet",
    expects="multi_cpu_stop waits", names={"migration/2": "S2"},
    labels={"start[upper]": "cpu_up(1)", "starting:active[swapper/1]": "starting: active",
            "online-idle[swapper/1]": "online, idle",
            "two:active[initiator]": "stop_two_cpus(2, 1): both are active",
            "cpu_stop_queue[initiator]": "  for CPU{a}: accepted {b}",
            "kemu_panic": "{who} waits for ever for one that will not come"},
    budget="jitter: a hit within 5 s; free: a hit within 10 s")


# -- before: the guard ----------------------------------------------------------

@race.before(stop_machine.cpu_stop_queue_two_works)
def cpu_stop_queue_two_works(cpu1: int, work1: cpu_stop.CpuStopWork, cpu2: int,
                             work2: cpu_stop.CpuStopWork) -> int:
    """Queue on each by itself, if both are active.

    Preemption is off from the look to the last queueing.  On the way down that is
    enough: a CPU stops being active, then waits for all such sections, then has its
    last work queued, and a stopper takes its works in turn: ours come before.
    """
    preempt_disable()
    active = sched.cpu_active(cpu1) and sched.cpu_active(cpu2)
    if active:
        kemu.point("two:active")
        cpu_stop.cpu_stop_queue_work(cpu1, work1)
        cpu_stop.cpu_stop_queue_work(cpu2, work2)
    kemu.point("two:queued")
    preempt_enable()
    return 0 if active else -ENOENT


race.before(cpu_stop.stop_machine_park)(down.stop_machine_park)
race.before(cpu_stop.cpu_stop_park)(down.cpu_stop_park)


# -- before: active first, the stopper last ---------------------------------------

@race.before(hotplug.sched_cpu_starting)
def sched_cpu_starting(cpu: int) -> int:
    """Active before it is online even."""
    system.header.active_mask.set_bit(cpu)
    kemu.point("starting:active")
    ret: int = original_of(hotplug.sched_cpu_starting)(cpu)
    return ret


race.before(cpu.cpuhp_online_idle)(late.cpuhp_online_idle)
race.before(cpu.bringup_wait_for_ap)(late.bringup_wait_for_ap)


# -- the trial ------------------------------------------------------------------

@race.prepare
def take_down(t: Trial) -> None:
    cpu.cpu_down(1)


@race.actor(cpu=0)
def upper(t: Trial) -> None:
    with t.window():
        cpu.cpu_up(1)


@race.actor(cpu=2)
def initiator(t: Trial) -> None:
    """Again and again, until CPU1 is there."""
    with t.window():
        while stop_machine.stop_two_cpus(2, 1, down.own_cpu) < 0:
            sched.cpu_relax()


race.force(hold=initiator, at="start", until=(upper, "bringup:idle"))
race.force(hold=upper, at="bringup:idle", until=(initiator, "two:queued"), sides=("before",))
