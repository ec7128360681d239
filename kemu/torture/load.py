"""A load for hotplug: tasks that park, wake, complete, exec, and stop each other's CPUs.

Linux: the test kthreads of kernel/torture.c, and its shuffle.

Each worker is a task of its own that does one kind of thing until it is told to stop,
on whatever CPU it is pushed to.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import kemu
from kemu.kernel import kthread, sched
from kemu.kernel.cpu_stop import stop_one_cpu
from kemu.kernel.cpumask import online_cpus
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.softirq import raise_softirq
from kemu.kernel.stop_machine import stop_two_cpus
from kemu.memory.struct import PerCPU, Word


class Load(PerCPU, keep=True):
    """Of CPU 0."""

    stop = Word()
    rounds = Word()


def _partner(done: Completion) -> int:
    """A thread that is parked and unparked: says each time that it is back."""
    complete(done)
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
            complete(done)
            continue
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not (kthread.kthread_should_park() or kthread.kthread_should_stop()):
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)
    return 0


def park_unpark(seed: int) -> None:
    """Park and unpark a thread that is bound to no CPU."""
    done = Completion.alloc()
    k = kthread.kthread_run(_partner, done, "partner/%u", seed)
    wait_for_completion(done)
    while not Load.on(0).stop.load():
        kthread.kthread_park(k)
        kthread.kthread_unpark(k)
        wait_for_completion(done)
        Load.on(0).rounds.add(1)
    kthread.kthread_stop(k)
    done.free()


def _where(arg: int) -> int:
    return 0


def stop_cpus(seed: int) -> None:
    """Stop one CPU, or two; a CPU that is going answers -ENOENT."""
    draw = random.Random(seed)
    while not Load.on(0).stop.load():
        stop_one_cpu(draw.randrange(len(runqueues)), _where)
        if len(runqueues) > 1:
            one, other = draw.sample(range(len(runqueues)), 2)
            stop_two_cpus(one, other, _where)
        Load.on(0).rounds.add(1)


def shuffle(seed: int) -> None:
    """Confine oneself to a CPU, then to any."""
    draw = random.Random(seed)
    me = sched.current()
    while not Load.on(0).stop.load():
        sched.set_cpus_allowed_ptr(me, 1 << draw.choice(online_cpus()))
        sched.set_cpus_allowed_ptr(me, (1 << len(runqueues)) - 1)
        raise_softirq(draw.randrange(3))
        Load.on(0).rounds.add(1)


def exec_storm(seed: int, settled: bool = False) -> None:
    """A task that execs itself for ever, wherever it is balanced to."""
    if not settled:
        sched.set_cpus_allowed_ptr(sched.current(), (1 << len(runqueues)) - 1)
    Load.on(0).rounds.add(1)
    if not Load.on(0).stop.load():
        kemu.exec(exec_storm, seed, settled=True)


Worker = Callable[[int], None]
WORKERS: dict[str, tuple[Worker, ...]] = {
    "4.13": (park_unpark, stop_cpus, shuffle, exec_storm),
    "2.6.6": (exec_storm, exec_storm, exec_storm, exec_storm, park_unpark, shuffle),
}
"""What goes on beside the hotplug of each kernel; 2.6.6 is tried by a storm of execs."""
