"""Classes, preemption, policies."""

from __future__ import annotations

import pytest

import kemu
from kemu import native
from kemu.errors import UsageError
from kemu.kernel import sched
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.kthread import (kthread_bind, kthread_create, kthread_run,
                                 kthread_stop)
from kemu.kernel.own.system import system
from kemu.kernel.sched import (SCHED_FIFO, SCHED_NORMAL, TASK_INTERRUPTIBLE, sched_setscheduler,
                               set_cpus_allowed_ptr, wake_up_process)
from kemu.kernel.sched.bug import CLASS_NAMES
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.memory.struct import PerCPU, Word
from kemu.memory.views import Header
from kemu.trace import events
from tests.kernel.threads import Shared, hog, note, sleeper, until_asleep, until_queued


def bound(function, data, cpu, priority=0):
    """A thread on a CPU, FIFO if it has a priority, referenced, not yet woken."""
    k = kthread_create(function, data, "bound")
    kthread_bind(k, cpu)
    if priority:
        sched_setscheduler(k, SCHED_FIFO, priority)
    get_task_struct(k)
    return k


def stop(k):
    ret = kthread_stop(k)
    put_task_struct(k)
    return ret


def tell(shared):
    shared.seen.store(1)
    complete(shared.ran)


# -- preemption ------------------------------------------------------------------


def spin_until_seen(shared):
    complete(shared.ran)
    while not shared.seen.load():
        sched.cpu_relax()


def test_fifo_preempts_fair(machine):
    """A FIFO thread runs at once where a fair task polls."""
    m = machine()
    shared = m.run(Shared.alloc)
    spins = m.start(spin_until_seen, shared, cpu=1)
    m.run(fifo_on, shared)
    assert spins.result() is None


def pass_points_until_seen(shared):
    complete(shared.ran)
    while not shared.seen.load():
        kemu.point("spinning")


def test_jitter_lets_a_task_be_preempted_at_a_point(machine):
    """What came in during a delay is taken at its end, as by a CPU that stood still."""
    m = machine()
    header = Header(m.memory)
    header.jitter_odds.store(2)
    header.jitter_max_ns.store(10_000)
    header.gate.fetch_or(native.GATE_JITTER)
    shared = m.run(Shared.alloc)
    passes = m.start(pass_points_until_seen, shared, cpu=1)
    m.run(fifo_on, shared)
    assert passes.result() is None


def fifo_on(shared):
    wait_for_completion(shared.ran)
    k = bound(tell, shared, 1, priority=1)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    stop(k)


def fair_behind_fifo():
    shared = Shared.alloc()
    with hog(1) as holder:
        k = bound(tell, shared, 1)
        wake_up_process(k)
        for _ in range(2000):
            sched.cpu_relax()
        seen = shared.seen.load()
        holder.gate.store(1)
    wait_for_completion(shared.ran)
    stop(k)
    return seen, shared.seen.load()


def test_fair_waits_for_fifo(machine):
    """A fair thread does not run until the FIFO thread lets go, and then does."""
    assert machine().run(fair_behind_fifo) == (0, 1)


def take_turns(mine, other, rounds):
    """Go on only when the other has: on one CPU, only preemption lets it."""
    for n in range(rounds):
        mine.add(1)
        while other.load() < n:
            sched.cpu_relax()
    return mine.load()


@pytest.mark.parametrize("cpu", [0, 1])
def test_two_fair_tasks_share(machine, cpu):
    """Two fair tasks that poll take turns on one CPU."""
    m = machine()
    shared = m.run(Shared.alloc)
    handles = [m.start(take_turns, shared.gate, shared.seen, 5, cpu=cpu),
               m.start(take_turns, shared.seen, shared.gate, 5, cpu=cpu)]
    assert [handle.result() for handle in handles] == [5, 5]


def digits_of_equals():
    """Two FIFO threads of one priority: yield_() lets the other run."""
    shared = Shared.alloc()
    with hog(1, priority=60) as holder:
        threads = [bound(function, shared, 1, priority=10) for function in (yielder_1, yielder_2)]
        for k in threads:
            wake_up_process(k)
            until_queued(k)
        holder.gate.store(1)
    for _ in threads:
        wait_for_completion(shared.ran)
    for k in threads:
        stop(k)
    return shared.digits.load()


def yielder_1(shared):
    for _ in range(3):
        note(shared.digits, 1)
        sched.yield_()
    complete(shared.ran)


def yielder_2(shared):
    for _ in range(3):
        note(shared.digits, 2)
        sched.yield_()
    complete(shared.ran)


def test_yield(machine):
    """yield_() goes behind its equals."""
    assert machine().run(digits_of_equals) == 121212


def preempt_off_then_on(shared):
    """With preemption off the thread that was woken waits; with it on it runs."""
    k = bound(tell, shared, sched.smp_processor_id(), priority=10)
    sched.preempt_disable()
    wake_up_process(k)
    sched.cpu_relax()
    before = shared.seen.load(), sched.need_resched()
    sched.preempt_enable()
    after = shared.seen.load(), sched.need_resched()
    stop(k)
    return before, after


def test_preempt_enable(machine):
    """preempt_enable() is where a due reschedule happens."""
    m = machine()
    assert m.run(preempt_off_then_on, m.run(Shared.alloc)) == ((0, True), (1, False))


# -- policies --------------------------------------------------------------------


def note_1(shared):
    note(shared.digits, 1)
    complete(shared.ran)


def note_2(shared):
    note(shared.digits, 2)
    complete(shared.ran)


def order_of(first, second, change=None):
    """Which of two queued threads runs first, by their priorities, one changed while queued."""
    shared = Shared.alloc()
    with hog(1, priority=90) as holder:
        threads = [bound(note_1, shared, 1, first), bound(note_2, shared, 1, second)]
        for k in threads:
            wake_up_process(k)
            until_queued(k)
        if change is not None:
            sched_setscheduler(threads[0], SCHED_FIFO if change else SCHED_NORMAL, change)
        holder.gate.store(1)
    for _ in threads:
        wait_for_completion(shared.ran)
    for k in threads:
        stop(k)
    return shared.digits.load()


@pytest.mark.parametrize(("priorities", "order"), [
    ((10, 20), 21), ((20, 10), 12), ((10, 10), 12), ((0, 1), 21),
    ((10, 70), 21)])
def test_priorities(machine, priorities, order):
    """The higher FIFO priority runs first, equals in order of arrival, fair last."""
    assert machine().run(order_of, *priorities) == order


@pytest.mark.parametrize(("priorities", "change", "order"), [
    ((10, 20), 30, 12), ((30, 20), 10, 21), ((30, 20), 0, 21), ((0, 20), 30, 12)])
def test_setscheduler_requeues(machine, priorities, change, order):
    """A queued thread whose policy changes is queued anew."""
    assert machine().run(order_of, *priorities, change) == order


@pytest.mark.parametrize("arguments", [(2, 0), (-1, 0), (SCHED_FIFO, 0), (SCHED_FIFO, 100)])
def test_wrong_policy(machine, arguments):
    """A policy or priority there is not is refused."""
    with pytest.raises(UsageError):
        machine().run(set_mine, *arguments)


def set_mine(policy, priority=0):
    sched_setscheduler(sched.current(), policy, priority)
    return CLASS_NAMES[sched.current().sched_class.load()], sched.current().prio.load()


@pytest.mark.parametrize(("policy", "priority", "found"), [
    (SCHED_FIFO, 1, ("fifo", 98)), (SCHED_FIFO, 99, ("fifo", 0)), (SCHED_NORMAL, 0, ("fair", 120))])
def test_own_policy(machine, policy, priority, found):
    """A task that runs can change its own policy."""
    assert machine().run(set_mine, policy, priority) == found


# -- affinity --------------------------------------------------------------------


def break_counter():
    sched.cpu_rq(1).nr_running.add(1)
    found = sched.audit()
    sched.cpu_rq(1).nr_running.add(-1)
    return found


def test_audit_finds(machine):
    """The audit finds a runqueue that counts wrongly."""
    assert machine(2).run(break_counter) == ["S3: cpu1 has 0 queued, nr_running 1"]


def churn(rounds):
    shared = Shared.alloc()
    for _ in range(rounds):
        k = kthread_run(sleeper, shared, "churn")
        wait_for_completion(shared.ran)
        until_asleep(k, TASK_INTERRUPTIBLE)
        sched_setscheduler(k, SCHED_FIFO, 5)
        set_cpus_allowed_ptr(k, 0b110)
        kthread_stop(k)


def test_audit_after_churn(machine):
    """Much coming and going leaves the runqueues in order."""
    m = machine(3)
    for handle in [m.start(churn, 40, cpu=cpu) for cpu in range(3)]:
        handle.result()
    assert m.audit() is None


def preempt_with_a_state_set():
    """Set a state, and be preempted before schedule(): by a FIFO thread on the same CPU."""
    k = bound(sleeper, None, 0, priority=50)
    sched.set_current_state(TASK_INTERRUPTIBLE)
    wake_up_process(k)
    sched.set_current_state(sched.TASK_RUNNING)
    stop(k)


def test_a_preempted_task_is_traced_as_running(machine):
    """sched_switch shows R+ for a task that is preempted, whatever state it has set (as Linux)."""
    m = machine(2, trace=True)
    m.run(preempt_with_a_state_set)
    states = {events.state_letters(e.a) for e in m.trace().events
              if e.id == events.SCHED_SWITCH and e.who == "preempt_with_a_"}
    assert {s for s in states if s.endswith("+")} == {"R+"}


class Meeting(PerCPU, keep=True):
    """Of CPU 0: how many tasks have come."""

    came = Word()


def works_in_short_slices(rounds, tick_ns):
    """Wait for two others, then pass so many places where a tick may take the CPU away."""
    system.header.tick_ns.store(tick_ns)
    came = Meeting.on(0).came
    came.add(1)
    while came.load() < 3:
        sched.cpu_relax()
    for _ in range(rounds):
        sched.cpu_relax()
    return rounds


def test_a_tick_that_is_due_when_a_task_comes_does_not_take_its_cpu(machine):
    """Three tasks share a CPU, and a switch takes longer than a tick: each goes on all the same."""
    m = machine(1)
    tasks = [m.start(works_in_short_slices, 2000, 3000) for _ in range(3)]
    assert [task.result() for task in tasks] == [2000] * 3
