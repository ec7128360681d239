"""stopper-drops-work-up: one of two stop works is accepted, and an upcoming CPU drops the other.

Fix: 233e7f267e58 (Linux 4.4) and what its series builds on it: stop_two_cpus() asks both
stoppers, under their locks, instead of cpu_active().  Linux: kernel/stop_machine.c,
kernel/sched/core.c.

The twin of stopper-drops-work.  CPU1 comes up while CPU2 wants to stop itself and CPU1 together.

    CPU0                        CPU1                  CPU2
    cpu_up(1)                   starting: active
                                                      stop_two_cpus(2, 1)
                                                        both are active
                                                        CPU1's stopper is not enabled:
                                                          complete the work, not run
                                                        CPU2's is: accepted
                                                      multi_cpu_stop: waits for
                                                      CPU1 for ever
                                online, idle: enable the stopper

Before: a composite.  stop_two_cpus() looks at cpu_active(), as from 3.13 to 4.3; it queues the works
itself, as from 4.2; a CPU becomes active first of all, at CPU_STARTING, as from 3.4 (5fbd036b552f)
until the middle of 2015.  So on the way up the look proves nothing.  After, either both stoppers have
accepted or neither has, in whatever order the CPU comes up.
"""

from __future__ import annotations

from errno import ENOENT

import kemu
from kemu.harness.trial import Trial
from kemu.kernel import cpu_stop, sched, stop_machine
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.hotplug import cpu
from kemu.kernel.hotplug import sched_cpu as hotplug
from kemu.kernel.hotplug.cpuhp import CpuhpCpuState, CpuhpState
from kemu.kernel.hotplug.cpuhp_setup import cpuhp_setup_state
from kemu.kernel.own.system import system
from kemu.machine.override import original_of
from kemu.native import preempt_disable, preempt_enable
from kemu.races.stopper_drops_work import Stops, own_cpu

race = kemu.Race(
    "stopper-drops-work-up", cpus=3, placement=(0, 1, 0), fix="233e7f267e58",
    origin="a composite: the look at cpu_active() of 3.13 to 4.3, works queued as from 4.2, CPUs "
           "active at CPU_STARTING as from 3.4 to 4.1",
    title="stop_two_cpus() trusts cpu_active(), and the CPU's stopper is not enabled yet",
    expects="multi_cpu_stop waits", names={"migration/2": "S2"},
    labels={"start[upper]": "cpu_up(1)", "starting[swapper/1]": "starting: active",
            "online-idle[swapper/1]": "online, idle",
            "two:active[initiator]": "stop_two_cpus(2, 1): both are active",
            "cpu_stop_queue[initiator]": "  for CPU{a}: accepted {b}",
            "kemu_panic": "{who} waits for ever for one that will not come"},
    budget="jitter: a hit within 5 s; free: a hit within 10 s")
race.witness("asked-before-enabled", "stop_two_cpus() was called when CPU1 had started, and its "
             "stopper was not enabled yet")


# -- before ---------------------------------------------------------------------

@race.before(stop_machine.cpu_stop_queue_two_works)
def cpu_stop_queue_two_works(cpu1: int, work1: cpu_stop.CpuStopWork, cpu2: int,
                             work2: cpu_stop.CpuStopWork) -> int:
    """Queue on each by itself, if both are active.

    Preemption is off from the look to the last queueing.  On the way down that is
    enough: a CPU stops being active, then waits for all such sections, and has its last work
    queued after that.  A stopper runs its works in turn, so ours come before.
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


@race.before(hotplug.sched_cpu_starting)
def sched_cpu_starting(cpu: int) -> int:
    """Make the CPU active at once."""
    system.header.active_mask.set_bit(cpu)
    ret: int = original_of(hotplug.sched_cpu_starting)(cpu)
    return ret


# -- the trial ------------------------------------------------------------------

def starting(cpu: int) -> int:
    """A STARTING callback after the scheduler's, so that a script can hold the CPU there."""
    kemu.point("starting")
    return 0


@race.setup
def register(t: Trial) -> None:
    state = cpuhp_setup_state(CpuhpState.CPUHP_AP_STARTING_DYN, "race:starting", starting, None,
                              invoke=False)
    assert state >= 0, state


@race.prepare
def take_down(t: Trial) -> None:
    cpu.cpu_down(1)


@race.actor(cpu=0)
def upper(t: Trial) -> None:
    with t.window():
        cpu.cpu_up(1)


@race.actor(cpu=2)
def initiator(t: Trial) -> None:
    """Try to stop the two again and again, until CPU1 is there."""
    st, stopper, stops = CpuhpCpuState.on(1), cpu_stop.CpuStopper.on(1), Stops.on(0)
    with t.window():
        while not stops.accepted.load():
            started = st.state.load() > CpuhpState.CPUHP_AP_SCHED_STARTING
            if started and not stopper.enabled.load():
                t.witness("asked-before-enabled")
            if stop_machine.stop_two_cpus(2, 1, own_cpu) == 2:
                stops.accepted.store(1)
            sched.cpu_relax()


@race.postcondition
def accepted_work_ran_once(t: Trial) -> None:
    """S50: the function ran exactly once, when CPU1 had come up."""
    assert Stops.on(0).ran.load() == 1, f"the function ran {Stops.on(0).ran.load()} times"
    assert cpu_online(1) and sched.cpu_active(1), "CPU1 is not active after cpu_up(1)"


race.force(hold=initiator, at="start", until=("swapper/1", "starting"))
race.force(hold="swapper/1", at="starting", until=(initiator, "two:queued"))
