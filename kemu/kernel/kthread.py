"""Kernel threads: create, bind, park, unpark, stop.

Linux: kernel/kthread.c as of "kthread: Implement park/unpark facility" (3.7) and "kthread:
Prevent unpark race which puts threads on the wrong cpu" (3.9, f2530dc71cf0), with
TASK_PARKED as a special state (2018) and the binding under pi_lock (2015, 25834c73f93a).
Not modelled: kthreadd, worker queues, freezing, cgroups.

A parked thread is in TASK_PARKED, and only kthread_unpark() may wake it.  That keeps the
thread bound to its CPU (races/unpark_wrong_cpu.py).

    flags       <- bits, each atomic.  SHOULD_STOP, SHOULD_PARK: by other tasks, before
                   they wake the thread.  IS_PARKED: the thread sets it; the task that
                   clears it in an unpark owns the wake-up
    parked      <- complete()d once for each parking, before the thread is off its CPU:
                   when kthread_park() returns, the thread may not have slept yet
    exited      <- complete()d when the function has returned
    task.ended  <- 1 from then on, so that no task parks a thread that has ended

"Parked" has three meanings: SHOULD_PARK or IS_PARKED is set; the state is TASK_PARKED; the
task is off its runqueue.  They become true in this order.

Locks: pi_lock in __kthread_bind(), otherwise none of its own.
Callers: smpboot, hotplug, cpu_stop, watchdog, v2_6, harness, latency, races, torture; users.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINTR, ENOSYS
from typing import Any, Final

from kemu import native
from kemu.errors import NoTask, OutOfMemory, UsageError, shown
from kemu.kernel.cpumask import check_cpu, cpumask_of
from kemu.kernel.fork import (copy_process, do_exit, put_task_struct, rehome, settle,
                              try_get_task_struct)
from kemu.kernel.own import wiring
from kemu.kernel.own.checks import thread_name, thread_result
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import WARN
from kemu.kernel.sched.completion import Completion, complete, completed_by, wait_for_completion
from kemu.kernel.sched.migration import do_set_cpus_allowed
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (PF_KTHREAD, PF_NO_SETAFFINITY, PF_REHOMED, TASK_PARKED,
                                     TASK_RUNNING, TASK_UNINTERRUPTIBLE, __set_current_state,
                                     set_special_state)
from kemu.kernel.sched.wait import wait_task_inactive
from kemu.kernel.sched.wakeup import home_for_new, wake_up_new_task, wake_up_process, wake_up_state
from kemu.memory import functions
from kemu.memory.struct import Embedded, Struct, Word
from kemu.memory.views import Task, check_alive, constant
from kemu.native import current
from kemu.trace import events


KTHREAD_IS_PER_CPU = 0
KTHREAD_SHOULD_STOP = 1
KTHREAD_SHOULD_PARK = 2
KTHREAD_IS_PARKED = 3
KTHREAD_HAS_HOME = 4        # kemu: the creator chose the process; it stays the thread's home
HAS_A_PROCESS = 1 << KTHREAD_IS_PER_CPU | 1 << KTHREAD_HAS_HOME

ThreadFn = Callable[[Any], int | None]


class KThread(Struct):
    """struct kthread.  Freed with its task."""

    flags: Final = Word()
    cpu: Final = Word()
    function: Final = Word()
    data: Final = Word()
    parked: Final = Embedded(Completion)
    exited: Final = Embedded(Completion)


class KThreadCreate(Struct):
    """struct kthread_create_info.  It belongs to the creator until the thread has reported."""

    function: Final = Word()
    data: Final = Word()
    done: Final = Embedded(Completion)


def to_kthread(k: Task) -> KThread:
    """The kthread of a task.  Raises NoTask if the task is not a kernel thread."""
    if k.kt is None:            # once for each life of the task's slot
        base = constant(k.kthread)
        if not base:
            raise NoTask(f"{k} is not a kernel thread: create it with kthread_create_on_cpu()")
        k.kt = KThread(system.memory, base)
    kthread: KThread = k.kt
    return kthread


@wiring.freed_task.bind
def free_kthread_struct(k: Task) -> None:
    """Free the kthread of a task whose last reference was dropped."""
    if k.kthread.load():
        to_kthread(k).free()


def kthread_should_stop() -> bool:
    """Whether kthread_stop() was called on the current kthread, which must then return."""
    return to_kthread(current()).flags.test_bit(KTHREAD_SHOULD_STOP)


def kthread_should_park() -> bool:
    """Whether kthread_park() was called on the current kthread, which must then call kthread_parkme()."""
    return to_kthread(current()).flags.test_bit(KTHREAD_SHOULD_PARK)


def kthread_data(task: Task) -> Any:
    """What the thread was created with, as a copy."""
    block = to_kthread(check_alive(task)).data.load()
    return functions.peek(block) if block else None


def __kthread_parkme(self: KThread) -> None:
    """Stay parked while SHOULD_PARK is set.  May sleep.

    The state is set before the flag is tested, and complete() comes before
    schedule(): the parker returns while this thread may still be on its CPU.
    """
    set_special_state(TASK_PARKED)
    point("parkme:announced")
    while self.flags.test_bit(KTHREAD_SHOULD_PARK):
        point("parkme:asked")
        if not self.flags.test_and_set_bit(KTHREAD_IS_PARKED):
            point("parkme:parked")
            native.trace(events.KTHREAD_PARKED, -1, 1, 0, 0)
            complete(self.parked)
            point("parkme:completed")
        schedule()
        point("parkme:woken")
        set_special_state(TASK_PARKED)
        point("parkme:announced")
    point("parkme:leaving")
    self.flags.clear_bit(KTHREAD_IS_PARKED)
    point("parkme:left")
    __set_current_state(TASK_RUNNING)
    native.trace(events.KTHREAD_PARKED, -1, 0, 0, 0)


def kthread_parkme() -> None:
    """Park the current kthread if SHOULD_PARK is set.  May sleep."""
    __kthread_parkme(to_kthread(current()))


def kthread(me: Task) -> None:
    """The entry of every kernel thread: report, sleep until woken, then run the function.

    A thread whose first wake-up is kthread_stop() returns -EINTR and never runs its function.  A
    thread that was parked at creation runs its function, which must look at kthread_should_stop().
    """
    if not me.flags.load() & PF_REHOMED:
        _report(me)
        schedule()
        if not to_kthread(me).flags.load() & HAS_A_PROCESS:
            settle()
    self = to_kthread(me)
    threadfn = functions.load(self.function.load())
    block = self.data.load()
    data = functions.peek(block) if block else None
    ret: int | None = -EINTR
    point("kthread:starts")
    if not self.flags.test_bit(KTHREAD_SHOULD_STOP):
        __kthread_parkme(self)
        ret = threadfn(data)
        point("kthread:returned")
    if block:
        system.memory.heap_free(block)
        self.data.store(0)
    sys.stdout.flush()          # half a line that it printed
    me.exit_code.store(thread_result(ret))
    me.ended.store(1)
    point("kthread:ended")
    complete(self.exited)
    native.trace(events.SCHED_PROCESS_EXIT, me.slot, 0, 0, 0)
    do_exit()


def _report(me: Task) -> None:
    """Report to the creator that the thread exists, and get ready to sleep."""
    create = KThreadCreate.at(system.memory, me.arg.load())
    self = KThread.alloc()
    self.function.store(create.function.load())
    self.data.store(create.data.load())
    completed_by(self.parked, me)
    completed_by(self.exited, me)
    me.kthread.store(self.base)
    __set_current_state(TASK_UNINTERRUPTIBLE)
    complete(create.done)


def kthread_create_on_node(threadfn: ThreadFn, data: Any, node: int, namefmt: str,
                           *args: object, home: int | None = None) -> Task:
    """Create a kernel thread that does not run yet: wake_up_process() starts it.  May sleep.

    kthread_park() may be called on it instead.  The thread gets a copy of data.  namefmt is
    printf-style, with args.  node is ignored: the machine has one node.  home: the CPU whose process
    has the OS thread, whichever CPU of its mask the task runs on.  Without home, threads are spread,
    and each begins its function in the process of its CPU.  Raises OutOfMemory if no slot is left.
    """
    if not callable(threadfn):
        raise UsageError(f"threadfn is called with data: {shown(threadfn)} is not callable")
    comm = thread_name(namefmt, args)
    function = functions.publish(threadfn)
    everywhere = system.header.possible_mask.load()
    with _create_info(function, data) as create:
        k = copy_process(kthread, create.base, comm, flags=PF_KTHREAD, allowed=everywhere,
                         home=home_for_new(everywhere) if home is None else home)
        completed_by(create.done, k)
        wake_up_new_task(k)
        wait_for_completion(create.done)
    if home is not None:
        to_kthread(k).flags.set_bit(KTHREAD_HAS_HOME)
    return k


@contextmanager
def _create_info(function: int, data: Any) -> Iterator[KThreadCreate]:
    """The create structure, for the length of a block.  The thread, if one is created, owns its data."""
    create = KThreadCreate.alloc()
    try:
        create.function.store(function)
        create.data.store(functions.post(data) if data is not None else 0)
        yield create
    except OutOfMemory:
        if create.data.load():
            system.memory.heap_free(create.data.load())
        raise
    finally:
        create.free()


def kthread_create(threadfn: ThreadFn, data: Any, namefmt: str, *args: object) -> Task:
    """kthread_create_on_node() without a node.  May sleep."""
    return kthread_create_on_node(threadfn, data, -1, namefmt, *args)


def kthread_run(threadfn: ThreadFn, data: Any, namefmt: str, *args: object) -> Task:
    """kthread_create() and wake_up_process().  May sleep."""
    k = kthread_create(threadfn, data, namefmt, *args)
    wake_up_process(k)
    return k


def __kthread_bind(p: Task, cpu: int, state: int) -> bool:
    """Bind a thread that sleeps in that state to a CPU.  May sleep.

    Returns whether the thread is bound.  If it is not asleep in that state, __kthread_bind()
    WARNs and changes nothing: the mask of a running task would change under it.

    The mask and PF_NO_SETAFFINITY are stored under pi_lock.  Otherwise a task that calls
    sched_setaffinity() between the two stores would see no flag and replace the mask of a
    thread that is then bound for good (25834c73f93a, 2015).
    """
    if not wait_task_inactive(p, state):
        WARN(f"__kthread_bind: {p} is not asleep in state {state:#x}: not bound to "
             f"cpu{cpu} (state {p.state.load():#x}, on_rq {p.on_rq.load()})")
        return False
    point("bind:inactive")
    flags = p.pi_lock.lock_irqsave()
    do_set_cpus_allowed(p, cpumask_of(cpu))
    p.flags.fetch_or(PF_NO_SETAFFINITY)
    p.pi_lock.unlock_irqrestore(flags)
    native.trace(events.KTHREAD_BIND, p.slot, cpu, 0, 0)
    return True


def kthread_bind(p: Task, cpu: int) -> None:
    """Bind a new thread to a CPU, before it is woken.  May sleep.

    The thread gets a new OS thread in that CPU's process.  If it was woken already,
    kthread_bind() WARNs, and the thread keeps its mask and its process.
    """
    check_cpu(cpu)
    check_alive(p)
    if __kthread_bind(p, cpu, TASK_UNINTERRUPTIBLE) and p.home.load() != cpu:
        rehome(p, cpu)


def kthread_create_on_cpu(threadfn: ThreadFn, data: Any, cpu: int, namefmt: str,
                          home: int | None = None) -> Task:
    """Create a per-CPU thread and park it; kthread_unpark() binds and starts it.  May sleep.

    namefmt may have one ``%u``, for the CPU.  Until the first unpark the thread is bound to no CPU,
    and parks wherever it happens to run.  home: as in kthread_create_on_node(), by default cpu.
    """
    check_cpu(cpu)
    args = [cpu] if isinstance(namefmt, str) and "%" in namefmt else []
    p = kthread_create_on_node(threadfn, data, 0, namefmt, *args, home=cpu if home is None else home)
    to_kthread(p).flags.set_bit(KTHREAD_IS_PER_CPU)
    to_kthread(p).cpu.store(cpu)
    # kthread_park() gets the thread out of TASK_UNINTERRUPTIBLE.
    kthread_park(p)
    return p


def task_get_live_kthread(k: Task) -> KThread | None:
    """Take a reference and return the kthread.  If it has exited, return None without a reference.

    Raises NoTask, without a reference, if the task is not a kernel thread.
    """
    if not try_get_task_struct(k):
        return None
    try:
        if not k.ended.load():
            return to_kthread(k)
    except NoTask:
        put_task_struct(k)
        raise
    put_task_struct(k)
    return None


def __kthread_unpark(k: Task, kthread: KThread) -> None:
    """Let k run again: clear the flags, bind k if it is per-CPU, wake k.  May sleep.

    __kthread_unpark() does not wait until k has left the park loop.  So it clears IS_PARKED itself,
    because otherwise a park that follows at once would find it still set.
    """
    kthread.flags.clear_bit(KTHREAD_SHOULD_PARK)
    point("unpark:cleared")
    if kthread.flags.test_and_clear_bit(KTHREAD_IS_PARKED):
        point("unpark:taken")
        if kthread.flags.test_bit(KTHREAD_IS_PER_CPU):
            __kthread_bind(k, kthread.cpu.load(), TASK_PARKED)
            point("unpark:bound")
        wake_up_state(k, TASK_PARKED)


def kthread_unpark(k: Task) -> None:
    """Let a parked thread run again, on its own CPU if it is per-CPU.  May sleep.

    Does not wait until the thread runs.
    """
    kthread = task_get_live_kthread(k)
    if kthread:
        native.trace(events.KTHREAD_UNPARK, k.slot, 0, 0, 0)
        __kthread_unpark(k, kthread)
        put_task_struct(k)


def kthread_park(k: Task) -> int:
    """Ask a thread to park, and wait until it reports that it parks.  May sleep.

    Returns 0, or -ENOSYS if the thread has exited.  If k calls it for itself, it only sets the bit.
    A new thread may be parked instead of woken: it then parks before it runs its function.

    Only one task may park a thread at a time, and no task while another stops the thread.  The
    thread completes `parked` once for each parking.  So the wait of a second parker would never
    end, nor would the wait of a parker while the thread ends.
    """
    kthread = task_get_live_kthread(k)
    if not kthread:
        return -ENOSYS
    if not kthread.flags.test_bit(KTHREAD_IS_PARKED):
        point("park:looked")
        kthread.flags.set_bit(KTHREAD_SHOULD_PARK)
        point("park:asked")
        if k.slot != current().slot:    # k is alive, so no other task has its slot
            native.trace(events.KTHREAD_PARK, k.slot, 0, 0, 0)
            wake_up_process(k)
            point("park:woken")
            wait_for_completion(kthread.parked)
    put_task_struct(k)
    return 0


def kthread_stop(k: Task) -> int:
    """Ask a thread to return, wait for it, and return what its function returned.  May sleep.

    Returns -EINTR if the thread never ran its function.  The value of a thread that has returned
    by itself stays available until another task needs the slot.  After that, raises UsageError.
    """
    kthread = task_get_live_kthread(k)
    native.trace(events.SCHED_KTHREAD_STOP, k.slot, 0, 0, 0)
    if kthread:
        kthread.flags.set_bit(KTHREAD_SHOULD_STOP)
        point("stop:asked")
        __kthread_unpark(k, kthread)
        point("stop:unparked")
        wake_up_process(k)
        point("stop:woken")
        wait_for_completion(kthread.exited)
    ret: int = k.exit_code.load()
    if kthread:
        put_task_struct(k)
    native.trace(events.SCHED_KTHREAD_STOP_RET, -1, ret, 0, 0)
    return ret


def kthread_is_parked(k: Task) -> bool:
    """Whether IS_PARKED is set; see the head for what that does not mean."""
    return to_kthread(check_alive(k)).flags.test_bit(KTHREAD_IS_PARKED)
