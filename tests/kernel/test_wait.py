"""Wait queues, waiting for a task to be off its CPU, and sleeping for a while."""

from __future__ import annotations

from kemu.kernel import sched
from kemu.kernel.irq import smp_call_function_single
from kemu.kernel.sched.completion import complete, wait_for_completion
from kemu.kernel.kthread import (kthread_bind, kthread_create, kthread_create_on_cpu, kthread_run,
                                 kthread_stop)
from kemu.kernel.sched import (MAX_SCHEDULE_TIMEOUT, TASK_INTERRUPTIBLE, TASK_PARKED,
                               TASK_RUNNING, TASK_UNINTERRUPTIBLE, WaitQueue, current, schedule,
                               schedule_timeout, set_current_state, wait_event, wait_task_inactive,
                               waiting, wake_up, wake_up_process)
from kemu.memory.struct import Embedded, Struct, Word
from tests.kernel.threads import Shared, hog, note, sleeper, until_asleep

# -- wait queues -------------------------------------------------------------------


class Queue(Struct):
    queue = Embedded(WaitQueue)
    condition = Word()
    digits = Word()


def until_queued_up(q, nr):
    while True:
        flags = q.queue.lock.lock_irqsave()
        waiting_now = len(q.queue.waiters.nodes())
        q.queue.lock.unlock_irqrestore(flags)
        if waiting_now >= nr:
            return
        sched.cpu_relax()


def sleep_once(q, digit):
    """In the queue until woken, whatever the condition says."""
    with waiting(q.queue, TASK_UNINTERRUPTIBLE):
        schedule()
    note(q.digits, digit)


def three_sleepers(m):
    q = m.run(Queue.alloc)
    handles = []
    for n in (1, 2, 3):
        handles.append(m.start(sleep_once, q, n, cpu=n % 2))
        m.run(until_queued_up, q, n, cpu=2)
    return q, handles


def test_wake_one(machine):
    """wake_up() wakes the first to come, one at a time."""
    m = machine(3)
    q, handles = three_sleepers(m)
    for handle in handles:
        m.run(wake_up, q.queue, cpu=2)
        handle.result()
    assert m.run(q.digits.load) == 123


def test_wake_all(machine):
    """wake_up() of all wakes all, and says how many."""
    m = machine(3)
    q, handles = three_sleepers(m)
    assert m.run(wake_up, q.queue, 0, cpu=2) == 3
    assert [handle.result() for handle in handles] == [None] * 3


def test_wake_nobody(machine):
    """Waking an empty queue wakes nobody."""
    m = machine()
    assert m.run(wake_up, m.run(Queue.alloc).queue) == 0


def wait_for_condition(q):
    wait_event(q.queue, q.condition.load)
    return q.condition.load()


def wake_with_condition(q, condition):
    q.condition.store(condition)
    return wake_up(q.queue)


def test_wait_event(machine):
    """wait_event() sleeps again while the condition does not hold."""
    m = machine()
    q = m.run(Queue.alloc)
    waits = m.start(wait_for_condition, q, cpu=1)
    for condition in (0, 0, 7):
        m.run(until_queued_up, q, 1)
        m.run(wake_with_condition, q, condition)
    assert waits.result() == 7


def fail_while_waiting():
    q = Queue.alloc()
    try:
        with waiting(q.queue, TASK_INTERRUPTIBLE):
            raise LookupError
    except LookupError:
        return q.queue.waiters.empty(), current().state.load()


def test_leave_by_exception(machine):
    """A task that leaves the block by an exception is out of the queue, and running."""
    assert machine().run(fail_while_waiting) == (True, sched.TASK_RUNNING)


# -- wait_task_inactive ------------------------------------------------------------


def wait_for_sleeper(state):
    k = kthread_create(sleeper, None, "k")      # sleeps in TASK_UNINTERRUPTIBLE
    ret = wait_task_inactive(k, state)
    kthread_stop(k)
    return ret


def test_inactive(machine):
    """A task that sleeps in the state is waited for; the result is never 0."""
    assert machine().run(wait_for_sleeper, TASK_UNINTERRUPTIBLE)


def test_inactive_in_any_state(machine):
    """Without a state any sleep will do."""
    assert machine().run(wait_for_sleeper, 0)


def test_other_state(machine):
    """A task in another state is not waited for."""
    assert machine().run(wait_for_sleeper, TASK_PARKED) == 0


def wait_for_a_runner():
    with hog(1):
        runner = sched.runqueue.system.tasks.at(sched.cpu_rq(1).curr.load())
        return wait_task_inactive(runner, TASK_PARKED)


def test_running_in_another_state(machine):
    """A task that runs, and not in the state, is not waited for."""
    assert machine().run(wait_for_a_runner) == 0


def begun_when_inactive(rounds):
    """How many of so many new threads had begun their function when they were seen inactive."""
    begun = 0
    for n in range(rounds):
        shared = Shared.alloc()
        k = kthread_create(sleeper, shared, "new")
        sched.set_cpus_allowed_ptr(k, 1 << n % 3)
        wake_up_process(k)
        wait_task_inactive(k, 0)
        begun += shared.ran.done.load()
        kthread_stop(k)
        shared.free()
    return begun


def test_a_thread_that_changes_its_process_is_not_inactive(machine):
    """A thread that was woken away from its home has not slept until its function does."""
    assert machine(3).run(begun_when_inactive, 60) == 60


def switches_counted():
    shared = Shared.alloc()
    k = kthread_run(sleeper, shared, "k")
    wait_for_completion(shared.ran)
    until_asleep(k, TASK_INTERRUPTIBLE)
    one = wait_task_inactive(k, TASK_INTERRUPTIBLE)
    wake_up_process(k)
    until_asleep(k, TASK_INTERRUPTIBLE)
    other = wait_task_inactive(k, TASK_INTERRUPTIBLE)
    kthread_stop(k)
    return other - one


def test_counts_switches(machine):
    """The results of two waits differ by how often the task slept in between."""
    assert machine().run(switches_counted) == 1


def spin_until_open(shared):
    complete(shared.ran)
    while not shared.gate.load():
        sched.cpu_relax()
    sleeper(None)


def start_spinner(shared):
    k = kthread_create(spin_until_open, shared, "k")
    kthread_bind(k, 1)
    wake_up_process(k)
    wait_for_completion(shared.ran)
    return k


def nothing(argument):
    pass


def call_the_waiter():
    """Once the waiter has CPU 0, and often enough to come while it polls."""
    while sched.runqueue.system.tasks.at(sched.runqueue.runqueues[0].curr.load()).comm != "wait_inactive":
        sched.cpu_relax()
    for _ in range(10):
        smp_call_function_single(0, nothing, 0, True)


def test_takes_interrupts_while_it_waits(machine):
    """For a task that runs the caller polls, and answers the calls of other CPUs meanwhile."""
    m = machine(3)
    shared = m.run(Shared.alloc)
    k = m.run(start_spinner, shared)
    waits = m.start(wait_inactive, k, cpu=0)
    m.run(call_the_waiter, cpu=2)
    m.run(shared.gate.store, 1, cpu=2)
    assert waits.result() == (True, TASK_RUNNING, 0)
    m.run(kthread_stop, k)


def queue_behind(hogged):
    """A fair thread, woken on a CPU that a FIFO thread keeps to itself."""
    k = kthread_create(sleeper, None, "k")
    kthread_bind(k, hogged)
    wake_up_process(k)
    return k


def waits_for_whom(waiter_comm):
    """Poll, from a third CPU, for the task that the waiter names."""
    tasks = sched.runqueue.system.tasks
    while True:
        for task in tasks.used():
            whom = task.waits_for.load()
            if task.comm == waiter_comm and whom and task.state.load() == TASK_UNINTERRUPTIBLE:
                return tasks.at(whom - 1).comm
        sched.cpu_relax()


def wait_inactive(k):
    """Whether the wait has ended with k at rest; then the waiter's state, and the task that it names."""
    return bool(wait_task_inactive(k, 0)), current().state.load(), current().waits_for.load()


def hog_and_tell(shared, queued):
    """Keep CPU 1 until the gate opens, with a thread queued behind."""
    with hog(1):
        shared.seen.store(queue_behind(1).slot)
        complete(queued)
        shared.gate.wait_while(0)


def test_queued_not_running(machine):
    """For a task that is queued and does not run the caller sleeps; it ends when the task sleeps.

    The caller then runs, and waits for no task any more: otherwise a report could name a cycle that
    there is not.
    """
    m = machine(3)
    shared = m.run(Shared.alloc)
    holds = m.start(hog_and_tell, shared, shared.ran, cpu=0)
    m.run(wait_for_completion, shared.ran, cpu=2)
    with m.looking():
        k = next(task for task in m.tasks() if task.slot == shared.seen.load())
    waits = m.start(wait_inactive, k, cpu=2)
    assert m.run(waits_for_whom, "wait_inactive", cpu=0) == "k"
    m.run(shared.gate.store, 1, cpu=2)
    assert (holds.result(), waits.result(), m.run(kthread_stop, k)) == (None, (True, TASK_RUNNING, 0), 7)


# -- schedule_timeout --------------------------------------------------------------


def sleep_for(ticks, state=TASK_INTERRUPTIBLE):
    set_current_state(state)
    return schedule_timeout(ticks)


def test_schedule_timeout(machine):
    """A sleep that nobody ends returns 0."""
    assert machine().run(sleep_for, 2) == 0


def test_schedule_timeout_of_a_runner(machine):
    """A task that has set no state does not sleep, and has ticks left."""
    assert machine().run(sleep_for, 1_000_000, sched.TASK_RUNNING) > 0


def test_many_timeouts(machine):
    """Many sleeps of one CPU all end, whatever their order."""
    m = machine()
    handles = [m.start(sleep_for, 1 + n * 7 % 10, cpu=1) for n in range(30)]
    assert [handle.result() for handle in handles] == [0] * 30


def sleep_and_tell(shared, ticks):
    shared.seen.store(current().slot)
    set_current_state(TASK_INTERRUPTIBLE)
    complete(shared.ran)
    left = schedule_timeout(ticks)
    return left


def wake_slot(shared):
    wait_for_completion(shared.ran)
    p = sched.runqueue.system.tasks.at(shared.seen.load())
    until_asleep(p, TASK_INTERRUPTIBLE)
    return wake_up_process(p)


def test_woken_early(machine):
    """A task that is woken before the time is over has ticks left."""
    m = machine()
    shared = m.run(Shared.alloc)
    sleeps = m.start(sleep_and_tell, shared, 1_000_000, cpu=1)
    assert (m.run(wake_slot, shared), sleeps.result() > 0) == (True, True)


def test_no_limit(machine):
    """A sleep without limit ends only by a wake-up."""
    m = machine()
    shared = m.run(Shared.alloc)
    sleeps = m.start(sleep_and_tell, shared, MAX_SCHEDULE_TIMEOUT, cpu=1)
    assert (m.run(wake_slot, shared), sleeps.result()) == (True, MAX_SCHEDULE_TIMEOUT)


def parked_and_inactive():
    k = kthread_create_on_cpu(sleeper, None, 1, "k/%u")
    found = [bool(wait_task_inactive(k, TASK_PARKED)) for _ in range(3)]
    kthread_stop(k)
    return found


def test_parked(machine):
    """A parked thread is inactive, however often one asks."""
    assert machine().run(parked_and_inactive) == [True] * 3
