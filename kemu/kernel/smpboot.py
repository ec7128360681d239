"""Per-CPU kernel threads: one descriptor, a thread on each CPU.

Linux: kernel/smpboot.c (v4.13).  Not modelled: the allocation of the idle threads; a CPU
mask for a registration.

A descriptor says what a per-CPU thread does.  The loop is here, so that every such thread
parks when its CPU goes down, and is unparked on its own CPU when the CPU comes up.  The
loop asserts with preemption off that the thread runs on that CPU (S40).

    hotplug_threads <- descriptors, the last registered first: smpboot_threads_lock
    store[cpu]      <- the thread of each CPU: under the same lock
    data.status     <- NONE, ACTIVE, PARKED: by the thread itself

Hooks run in the thread, on its CPU: setup once, then park and unpark in turns, and cleanup
at the end.  The create hook runs in the task that registers, or that brings the CPU up.

Locks: cpu_hotplug_lock, then smpboot_threads_lock, a mutex.
Callers: hotplug, cpu_stop, softirq, watchdog, races; users.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kemu.errors import OutOfMemory, UsageError, refuse
from kemu.kernel.cpumask import cpu_online, online_cpus
from kemu.kernel.fork import get_task_struct, put_task_struct
from kemu.kernel.hotplug.lock import cpus_read
from kemu.kernel.kthread import (kthread_create_on_cpu, kthread_park, kthread_parkme,
                                 kthread_should_park, kthread_should_stop, kthread_stop,
                                 kthread_unpark)
from kemu.kernel.locking.mutex import Mutex
from kemu.kernel.own.point import point
from kemu.kernel.own.system import system
from kemu.kernel.panic import BUG, WARN
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.sched.schedule import schedule
from kemu.kernel.sched.state import (TASK_INTERRUPTIBLE, TASK_PARKED, TASK_RUNNING,
                                     __set_current_state, set_current_state)
from kemu.kernel.sched.wait import wait_task_inactive
from kemu.memory import functions
from kemu.memory.struct import Embedded, ListHead, PerCPU, Struct, Word
from kemu.memory.views import Task
from kemu.native import (Word as Word_, current, preempt_disable, preempt_enable,
                         preempt_enable_no_resched, smp_processor_id)

HP_THREAD_NONE, HP_THREAD_ACTIVE, HP_THREAD_PARKED = range(3)

Hook = Callable[[int], None]


@dataclass(frozen=True)
class SmpHotplugThread:
    """The description of a per-CPU thread (Linux: struct smp_hotplug_thread).

    ``thread_comm`` is the thread's name.  It is unique and has one ``%u``.  The loop calls
    ``thread_should_run`` with preemption off, and ``thread_fn`` with preemption on.
    ``selfparking``: the thread parks by itself, and smpboot_park_threads() leaves it alone.
    ``store``: a per-CPU variable.  Its ``thread`` is set to the task before any hook runs.
    """

    thread_comm: str
    thread_should_run: Callable[[int], object]
    thread_fn: Hook
    create: Hook | None = None
    setup: Hook | None = None
    cleanup: Callable[[int, bool], None] | None = None
    park: Hook | None = None
    unpark: Hook | None = None
    selfparking: bool = False
    store: Any = None

    def __post_init__(self) -> None:
        comm = self.thread_comm
        if not isinstance(comm, str) or comm.count("%") != 1 or "%u" not in comm or "\0" in comm:
            raise refuse("thread_comm", comm, "a text with one %u, for the CPU, and no other %")


class SmpbootThreadData(Struct):
    """The data of one thread (Linux: struct smpboot_thread_data)."""

    cpu: Final = Word()
    status: Final = Word()
    descriptor: Final = Word()


class HotplugThread(Struct):
    """A registered descriptor.  After it comes a word for each CPU, which names the CPU's thread."""

    next: Final = Word()    # in SmpbootGlobals.threads
    prev: Final = Word()
    descriptor: Final = Word()

    def thread(self, cpu: int) -> Word_:
        return Word_(self.memory, self.base + self.size + 8 * cpu)


class SmpbootGlobals(PerCPU, keep=True):
    """The machine's only list of descriptors.  It is in CPU 0's copy; the other copies are unused."""

    lock: Final = Embedded(Mutex)
    threads: Final = ListHead()


def _globals() -> SmpbootGlobals:
    return SmpbootGlobals.on(0)


def _registered() -> list[HotplugThread]:
    """Caller holds smpboot_threads_lock."""
    return [HotplugThread(system.memory, node) for node in _globals().threads.nodes()]


def _descriptor(ht: HotplugThread) -> SmpHotplugThread:
    descriptor: SmpHotplugThread = functions.load(ht.descriptor.load())
    return descriptor


def _find(comm: str) -> HotplugThread | None:
    return next((ht for ht in _registered() if _descriptor(ht).thread_comm == comm), None)


def smpboot_thread_fn(td: SmpbootThreadData) -> int:
    """The loop of every per-CPU thread.  May sleep.

    Preemption is off from the store of the state to the decision.  So the thread cannot change its
    CPU between the check of the CPU and the hook that needs that CPU.
    """
    ht: SmpHotplugThread = functions.load(td.descriptor.load())
    cpu = td.cpu.load()
    while True:
        set_current_state(TASK_INTERRUPTIBLE)
        preempt_disable()
        point("smpboot:announced")
        if kthread_should_stop():
            __set_current_state(TASK_RUNNING)
            preempt_enable()
            if ht.cleanup and td.status.load() != HP_THREAD_NONE:
                ht.cleanup(cpu, cpu_online(cpu))
            td.free()
            return 0
        if kthread_should_park():
            __set_current_state(TASK_RUNNING)
            preempt_enable()
            point("smpboot:parks")
            if ht.park and td.status.load() == HP_THREAD_ACTIVE:
                if cpu != smp_processor_id():
                    BUG(_wrong_cpu(cpu))
                ht.park(cpu)
                td.status.store(HP_THREAD_PARKED)
            kthread_parkme()
            continue
        if cpu != smp_processor_id():
            BUG(_wrong_cpu(cpu))
        if td.status.load() != HP_THREAD_ACTIVE:
            _activate(ht, td, cpu)
            continue
        if not ht.thread_should_run(cpu):
            preempt_enable_no_resched()
            schedule()
        else:
            __set_current_state(TASK_RUNNING)
            preempt_enable()
            point("smpboot:runs")
            ht.thread_fn(cpu)


def _wrong_cpu(cpu: int) -> str:
    return f"wrong CPU: {current()} is bound to cpu{cpu} and runs on cpu{smp_processor_id()}"


def _activate(ht: SmpHotplugThread, td: SmpbootThreadData, cpu: int) -> None:
    """Run setup or unpark, whichever the last state asks for.  Enables preemption."""
    __set_current_state(TASK_RUNNING)
    preempt_enable()
    first = td.status.load() == HP_THREAD_NONE
    td.status.store(HP_THREAD_ACTIVE)
    hook = ht.setup if first else ht.unpark
    if hook:
        hook(cpu)


def run_create_hook(descriptor: SmpHotplugThread, tsk: Task, cpu: int) -> None:
    """Run the create hook once the thread is off its runqueue.  May sleep.

    Linux has no such function.  A hook that gives the thread the stop class must run while the
    thread is off its runqueue (exhibit stop-class-while-queued).
    """
    assert descriptor.create is not None
    if not wait_task_inactive(tsk, TASK_PARKED):
        WARN(f"__smpboot_create_thread: {tsk} is not asleep in TASK_PARKED")
    else:
        descriptor.create(cpu)


def create_thread(descriptor: SmpHotplugThread, cpu: int, home: int | None = None) -> Task:
    """Create a CPU's thread, parked, with a reference to it; run the create hook.  May sleep.

    Linux: __smpboot_create_thread, except for the place where it keeps the task.  home: the CPU whose
    process has the OS thread; None: cpu.
    """
    td = SmpbootThreadData.alloc()
    td.cpu.store(cpu)
    td.descriptor.store(functions.publish(descriptor))
    try:
        tsk = kthread_create_on_cpu(smpboot_thread_fn, td, cpu, descriptor.thread_comm, home=home)
    except OutOfMemory:
        td.free()
        raise
    get_task_struct(tsk)
    if descriptor.store:
        descriptor.store.on(cpu).thread.set(tsk)
    if descriptor.create:
        run_create_hook(descriptor, tsk, cpu)
    return tsk


def __smpboot_create_thread(ht: HotplugThread, cpu: int) -> None:
    """Create the CPU's thread, if it has none.  May sleep."""
    if not ht.thread(cpu).load():
        tsk = create_thread(_descriptor(ht), cpu)
        point("smpboot:created")
        ht.thread(cpu).store(tsk.ref)


def smpboot_create_threads(cpu: int) -> int:
    """Create a parked thread of each descriptor, for a CPU about to come up.  May sleep.  Returns 0."""
    with _globals().lock:
        for ht in _registered():
            __smpboot_create_thread(ht, cpu)
    return 0


def _thread(ht: HotplugThread, cpu: int) -> Task | None:
    return system.tasks.get(ht.thread(cpu).load())


def smpboot_unpark_thread(ht: HotplugThread, cpu: int) -> None:
    """May sleep."""
    tsk = _thread(ht, cpu)
    if tsk and not _descriptor(ht).selfparking:
        kthread_unpark(tsk)


def smpboot_unpark_threads(cpu: int) -> int:
    """Unpark the CPU's threads, in order.  May sleep.  Returns 0."""
    with _globals().lock:
        for ht in _registered():
            smpboot_unpark_thread(ht, cpu)
    return 0


def smpboot_park_thread(ht: HotplugThread, cpu: int) -> None:
    """May sleep."""
    tsk = _thread(ht, cpu)
    if tsk and not _descriptor(ht).selfparking:
        kthread_park(tsk)


def smpboot_park_threads(cpu: int) -> int:
    """Park the CPU's threads, in reverse order.  May sleep.  Returns 0."""
    with _globals().lock:
        for ht in reversed(_registered()):
            smpboot_park_thread(ht, cpu)
    return 0


def smpboot_destroy_threads(ht: HotplugThread) -> None:
    """Stop a descriptor's threads on all CPUs, also the parked threads.  May sleep."""
    for cpu in range(len(runqueues)):
        tsk = _thread(ht, cpu)
        if tsk:
            kthread_stop(tsk)
            put_task_struct(tsk)
            ht.thread(cpu).store(0)


def smpboot_register_percpu_thread(plug_thread: SmpHotplugThread) -> int:
    """Create a thread on every online CPU, and let them run.  May sleep.

    Returns 0.  Raises UsageError if a descriptor of that name is registered.

    Holds the hotplug lock.  Otherwise a CPU that has its threads already, and is not online
    yet, would come up without a thread of this descriptor (4bee96860a65).
    """
    with cpus_read():
        return smpboot_register_online(plug_thread)


def smpboot_register_online(plug_thread: SmpHotplugThread) -> int:
    """smpboot_register_percpu_thread(), with the hotplug lock held by the caller.  May sleep.

    Linux has no such function.
    """
    with _globals().lock:
        if _find(plug_thread.thread_comm):
            raise UsageError(f"{plug_thread.thread_comm!r} is registered already")
        base = system.memory.heap_alloc(HotplugThread.size + 8 * len(runqueues))
        ht = HotplugThread(system.memory, base)
        try:
            ht.descriptor.store(functions.publish(plug_thread))
            for cpu in online_cpus():
                __smpboot_create_thread(ht, cpu)
                smpboot_unpark_thread(ht, cpu)
        except (OutOfMemory, UsageError):
            smpboot_destroy_threads(ht)
            ht.free()
            raise
        point("smpboot:registered")
        _globals().threads.add(ht.base)
    return 0


def smpboot_unregister_percpu_thread(plug_thread: SmpHotplugThread) -> None:
    """Stop and forget the threads of a descriptor.  May sleep.  Holds the hotplug lock.

    Raises UsageError if it is not registered.
    """
    with cpus_read(), _globals().lock:
        ht = _find(plug_thread.thread_comm)
        if ht is None:
            raise UsageError(f"{plug_thread.thread_comm!r} is not registered")
        system.memory.list_del(ht.base)
        smpboot_destroy_threads(ht)
        ht.free()


def smpboot_thread(plug_thread: SmpHotplugThread, cpu: int) -> Task | None:
    """The thread of a descriptor on a CPU (Linux: *per_cpu_ptr(ht->store, cpu)).  May sleep."""
    with _globals().lock:
        ht = _find(plug_thread.thread_comm)
        return _thread(ht, cpu) if ht else None


def registered_threads(cpu: int) -> list[tuple[str, Task | None, bool]]:
    """For each descriptor: its name, its thread on that CPU, whether it parks itself.  May sleep."""
    with _globals().lock:
        return [(_descriptor(ht).thread_comm, _thread(ht, cpu), _descriptor(ht).selfparking)
                for ht in _registered()]
