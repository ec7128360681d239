"""bind-loses-mask: a task replaces the mask of a thread that is just being bound for good.

Fix: 25834c73f93a (2015), "sched: Fix a race between __kthread_bind() and sched_setaffinity()".
Linux: kernel/kthread.c.

Before: Linux 3.10 until that fix.  T was created, and is to run on CPU1 only.

    CPU0                                    CPU1
    kthread_bind(T, 1)
      mask = CPU1
                                            sched_setaffinity(T, CPU0)
                                              no PF_NO_SETAFFINITY: allowed
                                              mask = CPU0
      flags |= PF_NO_SETAFFINITY

T is bound for good, to the wrong CPU.  After, kthread_bind() stores both under pi_lock, under which
sched_setaffinity() looks at the flag and stores the mask.
"""

from __future__ import annotations

import kemu
from kemu import native
from kemu.harness.trial import Trial
from kemu.kernel import kthread, sched
from kemu.kernel.sched.migration import sched_setaffinity
from kemu.kernel.sched.state import PF_NO_SETAFFINITY
from kemu.memory.views import Task
from kemu.trace import events

race = kemu.Race(
    "bind-loses-mask", cpus=2, fix="25834c73f93a", origin="released: Linux 3.10 until the fix of 2015",
    title="sched_setaffinity() between the mask and the flag of kthread_bind() undoes the binding",
    names={"worker": "T"},
    labels={"start[binder]": "kthread_bind(T, 1)", "bind:masked[binder]": "  mask = CPU1",
            "start[mover]": "sched_setaffinity(T, CPU0)", "done[mover]": "  mask = CPU0",
            "kthread_bind[worker]": "  flags |= PF_NO_SETAFFINITY"},
    budget="jitter: a hit within 10 s")
race.witness("moved-while-bound", "sched_setaffinity(T) was called when kthread_bind(T) had begun, "
             "and T was not bound for good yet")

CPU = 1


@race.before(kthread.__kthread_bind)
def __kthread_bind(p: Task, cpu: int, state: int) -> bool:
    """Store the mask, then the flag, without a lock."""
    if not sched.wait_task_inactive(p, state):
        return False
    sched.do_set_cpus_allowed(p, sched.cpumask_of(cpu))
    kemu.point("bind:masked")
    p.flags.fetch_or(PF_NO_SETAFFINITY)
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)
    return True


class Subject(kemu.PerCPU, keep=True):
    """Of CPU 0: T."""

    thread = kemu.TaskRef()


class Stage(kemu.PerCPU):
    """Of CPU 0."""

    binding = kemu.Word()       # kthread_bind(T) has begun
    ran_on = kemu.Word()        # where T ran, plus one


def work(data: None) -> int:
    """T."""
    Stage.on(0).ran_on.store(sched.smp_processor_id() + 1)
    return 0


@race.prepare
def create(t: Trial) -> None:
    """T's thread is in CPU0's process."""
    Subject.on(0).thread.set(kthread.kthread_create_on_node(work, None, 0, "worker", home=0))


@race.actor(cpu=0)
def binder(t: Trial) -> None:
    thread = Subject.on(0).thread.get()
    with t.window():
        Stage.on(0).binding.store(1)
        kemu.point("begun")
        kthread.kthread_bind(thread, CPU)


@race.actor(cpu=1)
def mover(t: Trial) -> None:
    thread = Subject.on(0).thread.get()
    with t.window():
        if Stage.on(0).binding.load() and not thread.flags.load() & PF_NO_SETAFFINITY:
            t.witness("moved-while-bound")
        sched_setaffinity(thread, 0b01)


@race.invariant(at="quiescence")
def a_bound_thread_keeps_its_mask(t: Trial) -> None:
    """S30: the mask of a thread that is bound for good is the one it was bound to."""
    thread = Subject.on(0).thread.get()
    mask, flags = thread.cpus_allowed.load(), thread.flags.load()
    assert not flags & PF_NO_SETAFFINITY or mask == 1 << CPU, f"T is bound for good to {mask:#b}"


@race.postcondition
def bound_thread_runs_on_its_cpu(t: Trial) -> None:
    """T is bound for good, and runs on CPU1, in its process.  It ends here: the next trial has another."""
    thread = Subject.on(0).thread.get()
    assert thread.flags.load() & PF_NO_SETAFFINITY, "T is not bound for good"
    assert thread.home.load() == CPU, f"T's thread is in the process of CPU{thread.home.load()}"
    sched.wake_up_process(thread)
    sched.wait_task_inactive(thread, 0)
    assert Stage.on(0).ran_on.load() == CPU + 1, f"T ran on CPU{Stage.on(0).ran_on.load() - 1}"


race.force(hold=binder, at="bind:masked", until=(mover, "done"), sides=("before",))
race.force(hold=binder, at="bind:inactive", until=(mover, "done"), sides=("after",))
