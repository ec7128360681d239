"""The round trip on kemu's side: unpark, run, acknowledge, park.

kthread_unpark() does not wait until the thread has run: a park that follows at once
may find it still in its park loop, and park it again.  So the worker acknowledges
each time it has left the loop, and the caller waits for that: four hand-overs.

    caller, CPU 0                     worker, CPU 1
      kthread_unpark         --1-->     leaves the park loop
      wait_for_completion    <--2--     complete(acknowledged)
      kthread_park           --3-->     kthread_parkme
      (has waited)           <--4--       complete(parked)
"""

from __future__ import annotations

from kemu import native
from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import Completion, complete, completion_on_stack, wait_for_completion

WORKER = "worker/%u"


def worker(acknowledged: Completion) -> None:
    """Acknowledge once when started, and whenever unparked."""
    complete(acknowledged)
    while not kthread.kthread_should_stop():
        if kthread.kthread_should_park():
            kthread.kthread_parkme()
            if not kthread.kthread_should_stop():
                complete(acknowledged)
            continue
        sched.set_current_state(sched.TASK_INTERRUPTIBLE)
        if not (kthread.kthread_should_park() or kthread.kthread_should_stop()):
            sched.schedule()
        sched.set_current_state(sched.TASK_RUNNING)


def trips(warm_up: int, n: int) -> list[int]:
    """A task on CPU 0: nanoseconds of each of n round trips with CPU 1, after some that do not count."""
    took = []
    now = native.now_ns
    with completion_on_stack() as acknowledged:
        k = kthread.kthread_create_on_cpu(worker, acknowledged, 1, WORKER)
        for _ in range(warm_up + n):
            began = now()
            kthread.kthread_unpark(k)
            wait_for_completion(acknowledged)
            kthread.kthread_park(k)
            took.append(now() - began)
        kthread.kthread_stop(k)
    return took[warm_up:]
