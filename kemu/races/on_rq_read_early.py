"""on-rq-read-early: a waker reads p->on_rq before p->state, and finds a queued task unqueued.

Fix: 135e8c9250dd (Linux 4.8), "sched/core: Fix a race between try_to_wake_up() and a woken up
task".  Linux: kernel/sched/core.c, try_to_wake_up(): the smp_rmb() between the two loads.

A model of three functions, because kemu's try_to_wake_up() is C and has no remote wake list: the
words and the locks are those of Linux, and nothing of kemu's own scheduler takes part.  An earlier
waker has put p on CPU1's wake list: p is in TASK_WAKING.

    CPU0 (waker)                        CPU1
    lock pi_lock
      (on_rq is read early: 0)
                                        sched_ttwu_pending(): lock rq; on_rq = 1; state = RUNNING
                                        schedule(): lock rq; on_cpu = 1; p runs
                                        p: state = UNINTERRUPTIBLE
    state is UNINTERRUPTIBLE
    on_rq is 0: wait until on_cpu is 0

p still runs, and may wait for a lock that the waker holds: then the waker waits for ever.
sched_ttwu_pending() does not take pi_lock, so the waker's pi_lock does not help.

x86 keeps the order of loads, so this needs memory=weak.  The fix's author saw it on POWER.
"""

from __future__ import annotations

import kemu
from kemu.harness.trial import Trial
from kemu.kernel.barrier import smp_rmb
from kemu.kernel.sched import TASK_RUNNING, TASK_UNINTERRUPTIBLE, TASK_WAKING

race = kemu.Race(
    "on-rq-read-early", cpus=2, fix="135e8c9250dd", memory="weak",
    origin="a model of try_to_wake_up() as of Linux 4.7, with the remote wake list",
    title="a waker reads on_rq before the state, and takes a queued task for one that left its queue",
    budget="exhaustive --memory weak: a hit with 2 preemptions")
race.witness("matched", "the waker found p about to sleep")


class Sleeper(kemu.PerCPU):
    """p, of CPU 0's part; rq_lock is CPU 1's."""

    pi_lock = kemu.Lock()
    rq_lock = kemu.Lock()
    state = kemu.Word()
    on_rq = kemu.Word()
    on_cpu = kemu.Word()
    found = kemu.Word()         # 1 + the on_rq that the waker read; 0: the state did not match


def is_queued(p: Sleeper) -> int | None:
    """The state, and then on_rq; None if the state does not match.  Caller holds pi_lock."""
    if p.state.load() != TASK_UNINTERRUPTIBLE:
        return None
    smp_rmb()
    return p.on_rq.load()


@race.before(is_queued)
def is_queued_in_any_order(p: Sleeper) -> int | None:
    """The state and on_rq."""
    if p.state.load() != TASK_UNINTERRUPTIBLE:
        return None
    return p.on_rq.load()


@race.prepare
def put_on_wake_list(t: Trial) -> None:
    p = Sleeper.on(0)
    for word, value in ((p.state, TASK_WAKING), (p.on_rq, 0), (p.on_cpu, 0), (p.found, 0)):
        word.store(value)


@race.actor(cpu=1)
def target(t: Trial) -> None:
    p = Sleeper.on(0)
    with t.window():
        p.rq_lock.lock()                            # sched_ttwu_pending()
        p.on_rq.store(1)
        p.state.store(TASK_RUNNING)
        p.rq_lock.unlock()
        p.rq_lock.lock()                            # schedule()
        p.on_cpu.store(1)
        p.rq_lock.unlock()
        p.state.xchg(TASK_UNINTERRUPTIBLE)          # p itself: set_current_state()


@race.actor(cpu=0)
def waker(t: Trial) -> None:
    p = Sleeper.on(0)
    with t.window():
        p.pi_lock.lock()
        on_rq = is_queued(p)
        if on_rq is not None:
            t.witness("matched")
            p.found.store(1 + on_rq)
        p.pi_lock.unlock()


@race.invariant()
def a_running_task_is_queued(t: Trial) -> None:
    """A task that sets its state is on its runqueue, and the waker sees that."""
    assert Sleeper.on(0).found.load() != 1, "the waker found p in no queue, though p runs"


@race.postcondition
def the_task_runs(t: Trial) -> None:
    """p is queued and runs, and is about to sleep."""
    p = Sleeper.on(0)
    assert (p.state.load(), p.on_rq.load(), p.on_cpu.load()) == (TASK_UNINTERRUPTIBLE, 1, 1)
