"""Machine: what a user holds of an emulated machine.

    with kemu.Machine(cpus=4) as m:
        print(m.run(function, argument, cpu=1))

The machine belongs to the process that booted it.  It is closed when the block ends, and when
the process ends, whichever way.  Machines may stand side by side and be used from any thread.
A fork of the process cannot use its parent's machines, and does not harm them.

Its processes and sockets are power's; what its CPUs send comes to its inbox.

Locks: none of its own.  Callers: users; harness, torture, latency, cli.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Self, TypeVar, TypeVarTuple

from kemu import native
from kemu.errors import KernelBug, MachineError, TaskTimeout, UsageError, refuse
from kemu.kernel.own.version import DEFAULT, kernel_named
from kemu.kernel.own.kthread_audit import audit_kthreads
from kemu.kernel.sched.audit import audit
from kemu.machine import boot, report
from kemu.machine.arguments import (MAX_MEMORY_MIB, MAX_POLL_US, check_callable, check_console,
                                    check_flag, check_hang_after, check_hung_task, check_int,
                                    check_overrides, check_seconds, check_tasks, check_watchdog)
from kemu.machine.cores import Cores
from kemu.machine.handle import Handle
from kemu.machine.inbox import Inbox, stack_texts
from kemu.machine.log import log
from kemu.machine.override import Override, arm
from kemu.machine.placement import Layout, place
from kemu.machine.post import post_request, take_back
from kemu.machine.power import Power, forget_memory
from kemu.machine.request import went_offline
from kemu.machine.stacks import CpuStacks
from kemu.machine.timeout import poll_for
from kemu.memory import current_memory, views
from kemu.memory.damage import damage
from kemu.memory.views import Cpu, Header, Task
from kemu.trace import reader

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_alive: weakref.WeakSet[Machine] = weakref.WeakSet()


def machines() -> list[Machine]:
    """The machines of this process that are not closed."""
    return [machine for machine in _alive if machine.usable()]


class Machine:
    """An emulated machine.

    ``cpus``: how many, 1 to 62; more than the host has cores is fine.
    ``placement``: the host core of each CPU; by default cores that no other machine of this user
    holds, one each, then round-robin.  Or a Layout: which CPUs share a core.
    ``poll_us``: how long an idle CPU polls at most before it sleeps; 0: never.
    ``tasks``: room for that many tasks.  ``memory``: MiB of the shared heap, and of the
    functions that were sent to CPUs.  ``warn``: "stop" or "print", on a WARN.
    ``console``: a function that gets each line that tasks print; by default standard output.
    It is called in a thread of its own and must not call the machine.  ``trace``: record trace
    events from the start.  ``watchdog``: report a CPU whose tasks do not get to run for that
    many seconds; 0: never.  ``hung_task``: report a task that sleeps uninterruptibly for that many
    seconds (khungtaskd); 0: never.  It needs a watchdog of no longer threshold.
    ``kernel``: whose hotplug and migration, "4.13" or "2.6.6".
    ``overrides``: functions that replace others in the CPU processes (make_override()).
    ``carried``: an object that tasks find again with ``programme.carried()``.
    ``hang_after``: run() and a handle's result() raise KernelHang if every task has been blocked for
    that many seconds and no thread of this process is left that could start another task; 0 or
    None: never.  A wait with a time-out ends with TaskTimeout instead.
    """

    def __init__(self, cpus: int = 2, *, placement: Sequence[int] | Layout | None = None,
                 poll_us: int = 200, tasks: int | None = None, memory: int = 64,
                 warn: str = "stop", console: Callable[[str], Any] | None = None,
                 trace: bool = False, watchdog: float = 0, hung_task: float = 0, kernel: str = DEFAULT,
                 overrides: Sequence[Override] = (), carried: object = None,
                 hang_after: float | None = 1.0) -> None:
        if warn not in ("stop", "print"):
            raise refuse("warn", warn, "'stop' or 'print'")
        check_console(console)
        overrides, watchdog = check_overrides(overrides), check_watchdog("watchdog", watchdog)
        hung_task = check_hung_task(hung_task, watchdog)
        trace = check_flag("trace", trace)
        self.hang_after: float = check_hang_after(hang_after)
        self._cores = Cores()
        with contextlib.ExitStack() as undo:
            undo.callback(self._cores.release)
            self.placement: list[int] = place(cpus, placement, self._cores)
            self._memory = boot.new_memory(
                self.placement, [self._cores.others(core) for core in self.placement],
                poll_us=check_int("poll_us", poll_us, 0, MAX_POLL_US, "a number of microseconds"),
                tasks=check_tasks(tasks, cpus), warn=warn == "print", kernel=kernel,
                mib=check_int("memory", memory, 1, MAX_MEMORY_MIB, "a number of MiB"))
            self.cpus = cpus
            self.kernel = kernel
            self.waiting: dict[int, Future[Any] | None] = {}    # by thread, see stillness.py
            self._header = Header(self._memory)
            self._inbox = Inbox(self._memory, cpus, console or partial(print, flush=True))
            if trace:
                self.trace_on()
            self.cpu_views: list[Cpu] = [Cpu(self._memory, cpu) for cpu in range(cpus)]
            self._power = Power(self._memory, cpus, self._inbox)
            self._boot(boot.publish_setup(self._memory, overrides, carried), watchdog, hung_task)
            undo.pop_all()
        _alive.add(self)

    def _boot(self, setup: int, watchdog: float, hung_task: float) -> None:
        began = time.perf_counter()
        self._power.on(setup, partial(self._start_kernel, watchdog, hung_task))
        arm(self._memory)
        log("DEBUG", "machine {}: {} CPUs on host cores {}, booted in {:.0f} ms", self._power.number,
            self.cpus, self.placement, (time.perf_counter() - began) * 1e3)

    def _start_kernel(self, watchdog: float, hung_task: float, seconds: float) -> None:
        booting = self.start(kernel_named(self.kernel).start_kernel, watchdog, hung_task)
        poll_for(seconds, booting.wait)
        try:
            booting.result(0)
        except TaskTimeout as late:     # before OSError, which it is too
            raise MachineError(f"not booted after {seconds} s: {late}") from late

    # -- its end -------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """Close the machine.  Raises what stopped it, if no call has raised that yet."""
        self.close()
        if kind is None:
            self.raise_unreported_failure()

    def note_failure_reported(self) -> None:
        """A call has raised what stopped the machine: the end of the block need not."""
        self._inbox.unreported_failure = None

    def raise_unreported_failure(self) -> None:
        """Raise what stopped the machine, if no call has raised it: otherwise a test would pass."""
        failure, self._inbox.unreported_failure = self._inbox.unreported_failure, None
        if failure:
            raise failure.with_traceback(None)

    def close(self) -> None:
        """Take the machine down, within a second; tasks that still run are ended.

        Any thread; harmless twice.  A thread that waits for a task of the machine gets
        MachineError.  In a fork of the process that booted the machine nothing happens.
        Raises UsageError in the console callback.
        """
        if self._power.owner != os.getpid():
            return
        self._inbox.check_thread()
        self._power.off()
        self._cores.release()

    @property
    def pids(self) -> dict[int, int]:
        """The process of each CPU."""
        return self._power.pids

    def __repr__(self) -> str:
        """How many CPUs, which kernel, which CPUs are online, and whether the machine runs."""
        kind = f"{self.cpus} CPU{'s' * (self.cpus > 1)}, Linux {self.kernel}"
        return f"<kemu.Machine: {kind}, {self._standing()}>"

    def _standing(self) -> str:
        if self._power.owner != os.getpid():
            return "belongs to the parent process"
        if not self._power.is_on():
            return "closed"
        if self._inbox.failure:
            return f"stopped by a {type(self._inbox.failure).__name__}"
        return "CPUs online: " + (", ".join(map(str, self.online())) or "none")

    # -- running ---------------------------------------------------------------

    def start(self, function: Callable[[*Ts], T], *args: *Ts, cpu: int = 0,
              **kwargs: Any) -> Handle[T]:
        """Start function(*args, **kwargs) as a task on a CPU.  Any thread; does not wait.

        The function, its arguments and its result are copied between processes.  A type checker
        compares the arguments with the function's; one by keyword must have a default there.
        Raises UsageError for a CPU that does not exist or is not online, and for what
        cannot be copied.  If the CPU goes offline before the task begins, the task begins
        elsewhere, or the handle raises UsageError.
        """
        self._check_usable()
        check_callable(function)
        try:
            return self._start(function, args, kwargs, cpu)
        except Exception as error:
            self._blame_damage(error)
            raise

    def _start(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any],
               cpu: int) -> Handle[T]:
        check_int("cpu", cpu, 0, self.cpus - 1, "one of this machine's CPUs")
        if not self._header.online_mask.test_bit(cpu):
            raise UsageError(f"CPU {cpu} is not online; there are {self.online()}")
        name = str(getattr(function, "__name__", type(function).__name__))
        ident, future = self._inbox.expect()
        try:
            with current_memory.looking_at(self._memory):
                post_request(self.cpu_views[cpu], ident, function, args, kwargs, name)
                if not self._header.online_mask.test_bit(cpu):
                    self._inbox.refuse(take_back(self.cpu_views[cpu]), went_offline(self.cpu_views[cpu]))
        except BaseException:
            self._inbox.forget(ident)
            raise
        return Handle(future, f"{name}() on CPU {cpu}", self)

    def run(self, function: Callable[[*Ts], T], *args: *Ts, cpu: int = 0,
            timeout: float | None = None, **kwargs: Any) -> T:
        """Run function(*args, **kwargs) as a task on a CPU, and wait for what it returns.

        What it raises is raised here, with the task's traceback as a note.
        timeout is in seconds: TaskTimeout when it is over.
        """
        limit = check_seconds("timeout", timeout)
        return self.start(function, *args, cpu=cpu, **kwargs).result(limit)

    def audit(self) -> None:
        """Check what must hold at every moment of tasks and kernel threads; KernelBug if it does not.

        See kernel/sched/audit.py and kernel/own/kthread_audit.py.
        """
        cpu = min(self.online(), default=0)
        found = self.run(audit, cpu=cpu) + self.run(audit_kthreads, cpu=cpu)
        self.check_memory()
        if found:
            raise KernelBug("the audit found:\n" + "\n".join(found), report="\n\n".join(
                ["the audit found:\n" + "\n".join(found), self.report()]))

    # -- looking ---------------------------------------------------------------

    @property
    def memory(self) -> native.Memory:
        """The shared memory, to look at."""
        return self._memory

    def crowded_cores(self) -> list[int]:
        """The host cores of this machine that another machine of this user holds too.

        A CPU that shared its core when the machine booted does not poll.
        """
        return [core for core in dict.fromkeys(self.placement) if self._cores.others(core)]

    def online(self) -> list[int]:
        """The CPUs that are online, lowest first."""
        mask = self._header.online_mask.load()
        return [cpu for cpu in range(self.cpus) if mask >> cpu & 1]

    def has_panicked(self) -> bool:
        """Whether the kernel has stopped, or is being stopped."""
        return bool(self._header.panic.load())

    def looking(self) -> contextlib.AbstractContextManager[None]:
        """In this block, per-CPU variables and handles mean this machine's."""
        if not self._power.is_on():
            raise MachineError("the machine is closed: look at it before that")
        return current_memory.looking_at(self._memory)

    @contextlib.contextmanager
    def _last_look(self) -> Iterator[None]:
        """Views of a machine that is closed are not kept: they would keep its memory mapped."""
        yield
        if not self._power.is_on():
            forget_memory(self._memory)

    def tasks(self) -> list[Task]:
        """Every task there is now; of a machine that has ended, that there was."""
        with self._last_look(), self._blaming_damage():
            return views.tasks_of(self._memory).used()

    def report(self, stacks: bool = False) -> str:
        """What every CPU and task is doing, and the last events, if traced.  Any thread, any time.

        stacks: also the Python stack of each task that is not at rest, for which the CPUs are
        asked; waits a second at most.
        """
        answers = self.ask_stacks() if stacks and self.usable() else []
        with self._last_look():
            return report.whole(self._memory, stack_texts(answers))

    def ask_stacks(self) -> list[CpuStacks | None]:
        """What each CPU's process answers when it is asked for its stacks: see Inbox.ask_stacks()."""
        return self._inbox.ask_stacks(self.cpu_views)

    def trace_on(self) -> None:
        """Record trace events, a ring per CPU."""
        self._header.gate.fetch_or(native.GATE_TRACE)

    def trace_off(self) -> None:
        """Stop recording.  What was recorded stays."""
        self._header.gate.fetch_and(~native.GATE_TRACE)

    def trace(self) -> reader.Trace:
        """What the rings hold."""
        with self._blaming_damage():
            return reader.read(self._memory)

    # -- a memory that something wrote over ------------------------------------------

    def check_memory(self) -> None:
        """Raises MachineError if something has written over the shared memory (memory/damage.py).

        The machine then counts as stopped, and each call of it raises the same.
        """
        found = damage(self._memory)
        if not found:
            return
        why = MachineError(f"the shared memory of this machine is damaged: {found}.  Something wrote "
                           f"over it.  Boot another machine\n\n{report.whole(self._memory)}")
        self._inbox.fail(why)
        self.note_failure_reported()
        raise why

    def _blame_damage(self, error: Exception) -> None:
        """If the shared memory is damaged, raise MachineError because of the error."""
        if self._power.is_on():
            try:
                self.check_memory()
            except MachineError as damaged:
                raise damaged from error

    @contextlib.contextmanager
    def _blaming_damage(self) -> Iterator[None]:
        """In this block, an exception becomes a MachineError if the shared memory is damaged."""
        try:
            yield
        except Exception as error:
            self._blame_damage(error)
            raise

    # -- which calls are allowed -----------------------------------------------------

    def usable(self) -> bool:
        """Whether the machine runs, and belongs to this process."""
        return self._power.owner == os.getpid() and not self._power.closed.is_set()

    def check_owner(self) -> None:
        """Raises UsageError in a fork of the machine's process, and in its console callback."""
        if self._power.owner != os.getpid():
            raise UsageError("this machine belongs to the parent process: boot one of your own")
        self._inbox.check_thread()

    def _check_usable(self) -> None:
        self.check_owner()
        if self._inbox.failure:
            self.note_failure_reported()
            raise self._inbox.failure.with_traceback(None)
