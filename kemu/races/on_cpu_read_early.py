"""on-cpu-read-early: a waker reads p->on_cpu before p->on_rq, and lets p run on two CPUs.

Fix: "sched/core: Fix an SMP ordering race in try_to_wake_up() vs. schedule()" (2015, Linux 4.4).
Linux: kernel/sched/core.c, try_to_wake_up(): the smp_rmb() before the wait for on_cpu.

A model of two functions, because kemu's try_to_wake_up() is C: the words and the locks are those of
Linux, and nothing of kemu's own scheduler takes part.  p was preempted after it had set its state.

    CPU0 (waker)                        CPU1
    lock pi_lock
      (on_cpu is read early: 0)
                                        schedule(): lock rq; on_cpu = 1; p runs
                                        p: schedule(): lock rq; on_rq = 0
    on_rq is 0
    on_cpu is 0: run p here
                                        p has not left CPU1 yet
                                        on_cpu = 0

x86 keeps the order of loads, so this needs memory=weak.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.barrier import smp_load_acquire, smp_rmb, smp_store_release

race = kemu.Race(
    "on-cpu-read-early", cpus=2, memory="weak", preemptions=3,
    origin="a model of try_to_wake_up() as of Linux 4.3",
    title="a waker reads on_cpu before on_rq, and a task runs on two CPUs",
    budget="exhaustive --memory weak: a hit with 3 preemptions")
race.witness("left-its-queue", "the waker found that p had left its runqueue")


class Sleeper(kemu.PerCPU):
    """p, of CPU 0's part; rq_lock is CPU 1's."""

    pi_lock = kemu.Lock()
    rq_lock = kemu.Lock()
    on_rq = kemu.Word()
    on_cpu = kemu.Word()
    runs_on = kemu.Word()       # on how many CPUs p runs
    twice = kemu.Word()         # p ran on two CPUs


def has_left_its_cpu(p: Sleeper) -> bool:
    """Wait until p has left its CPU; False if it has not left its runqueue.  Caller holds pi_lock."""
    if p.on_rq.load():
        return False
    smp_rmb()
    if smp_load_acquire(p.on_cpu):
        p.on_cpu.wait_while(1)
    return True


@race.before(has_left_its_cpu)
def has_left_in_any_order(p: Sleeper) -> bool:
    """The same without the barrier."""
    if p.on_rq.load():
        return False
    if smp_load_acquire(p.on_cpu):
        p.on_cpu.wait_while(1)
    return True


def run_on_this_cpu(p: Sleeper) -> None:
    if p.runs_on.add(1) > 1:
        p.twice.store(1)


@race.prepare
def preempt_it(t: Trial) -> None:
    p = Sleeper.on(0)
    for word, value in ((p.on_rq, 1), (p.on_cpu, 0), (p.runs_on, 0), (p.twice, 0)):
        word.store(value)


@race.actor(cpu=1)
def scheduler(t: Trial) -> None:
    p = Sleeper.on(0)
    with t.window():
        p.rq_lock.lock()                    # schedule() switches to p
        p.on_cpu.store(1)
        run_on_this_cpu(p)
        p.rq_lock.unlock()
        p.rq_lock.lock()                    # p itself calls schedule()
        p.on_rq.store(0)
        p.runs_on.add(-1)
        smp_store_release(p.on_cpu, 0)
        p.rq_lock.unlock()


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    p = Sleeper.on(0)
    with t.window():
        p.pi_lock.lock()
        if has_left_its_cpu(p):
            t.witness("left-its-queue")
            run_on_this_cpu(p)
        p.pi_lock.unlock()


@race.invariant()
def runs_on_one_cpu(t: Trial) -> None:
    """A task runs on one CPU at a time."""
    assert not Sleeper.on(0).twice.load(), "p ran on two CPUs at once"


@race.postcondition
def the_task_has_left_its_queue(t: Trial) -> None:
    """p has gone to sleep on CPU1."""
    p = Sleeper.on(0)
    assert (p.on_rq.load(), p.on_cpu.load()) == (0, 0), "p did not leave CPU1"
