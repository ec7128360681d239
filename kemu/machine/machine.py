"""Machine: boot it, run functions on its CPUs, and take it down.

    with kemu.Machine(cpus=4) as m:
        print(m.run(function, argument, cpu=1))

The machine is the caller's: closed when the block ends, when the process ends,
however it ends.  Machines may stand side by side and be used from any thread; a
fork of the process cannot use its parent's machines, nor harm them.

Locks: _closing.  A thread per machine reads what the CPUs send (inbox).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Self, TypeVar, TypeVarTuple

from kemu import native
from kemu.errors import KernelBug, MachineError, TaskTimeout, UsageError, refuse
from kemu.kernel.sched.audit import audit
from kemu.kernel.own.version import DEFAULT, kernel_named
from kemu.machine import boot, report
from kemu.machine import inbox as inboxes
from kemu.machine.arguments import (MAX_MEMORY_MIB, MAX_POLL_US, check_callable, check_console,
                                    check_flag, check_int, check_overrides, check_seconds,
                                    check_tasks, check_watchdog)
from kemu.machine.handle import Handle
from kemu.machine.helper import SHUTDOWN
from kemu.machine.log import log
from kemu.machine.override import Override, arm
from kemu.machine.timeout import poll_for
from kemu.machine.placement import place
from kemu.machine.request import gone, post_request, take_back
from kemu.memory import functions, current_memory, struct, views
from kemu.memory.views import Cpu, Header, Task
from kemu.trace import reader

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BOOT_SECONDS = 30.0

_alive: weakref.WeakSet[Machine] = weakref.WeakSet()


def machines() -> list[Machine]:
    """The machines of this process that are not closed."""
    return [machine for machine in _alive if machine.usable()]


class Machine:
    """An emulated machine.

    ``cpus``: how many, 1 to 62; more than the host has cores is fine.
    ``placement``: the host core of each CPU; by default one each, then round-robin.
    ``poll_us``: how long an idle CPU polls at most before it sleeps; 0: never.
    ``tasks``: room for that many tasks.  ``memory``: MiB of the shared heap, and of the
    functions that were sent to CPUs.  ``warn``: "stop" or "print", on a WARN.
    ``console``: who gets the lines that tasks print; by default standard output.  It is
    called in a thread of its own and must not call the machine.  ``trace``: record trace
    events from the start.  ``watchdog``: report a CPU whose tasks do not get to run for that
    many seconds; 0: never.  ``kernel``: whose hotplug and migration, "4.13" or "2.6.6".
    """

    def __init__(self, cpus: int = 2, *, placement: Sequence[int] | None = None,
                 poll_us: int = 200, tasks: int | None = None, memory: int = 64,
                 warn: str = "stop", console: Callable[[str], Any] | None = None,
                 trace: bool = False, watchdog: float = 0, kernel: str = DEFAULT,
                 overrides: Sequence[Override] = ()) -> None:
        self.placement = place(cpus, placement)
        if warn not in ("stop", "print"):
            raise refuse("warn", warn, "'stop' or 'print'")
        check_console(console)
        overrides, watchdog = check_overrides(overrides), check_watchdog(watchdog)
        trace = check_flag("trace", trace)
        self._memory = boot.new_memory(
            self.placement, poll_us=check_int("poll_us", poll_us, 0, MAX_POLL_US, "a number of microseconds"),
            tasks=check_tasks(tasks, cpus), warn=warn == "print", kernel=kernel,
            mib=check_int("memory", memory, 1, MAX_MEMORY_MIB, "a number of MiB"))
        self.cpus = cpus
        self.kernel = kernel
        self._owner = os.getpid()
        self._closing = threading.RLock()
        self._closed = threading.Event()
        self.waiting: set[int] = set()      # the threads that wait for a result
        self.pids: dict[int, int] = {}
        self._header = Header(self._memory)
        self._inbox = inboxes.Inbox(self._memory, cpus, console or partial(print, flush=True))
        if trace:
            self.trace_on()
        self._views = [Cpu(self._memory, cpu) for cpu in range(cpus)]
        self._boot(overrides, watchdog)
        _alive.add(self)

    # -- up and down -----------------------------------------------------------

    def _boot(self, overrides: Sequence[Override], watchdog: float) -> None:
        began = time.perf_counter()
        setup = boot.publish_setup(self._memory, overrides)
        try:
            self._helper = boot.the_helper()
        except OSError as error:
            raise MachineError(f"the helper process cannot be started: {error}") from error
        self._number = self._helper.enrol(weakref.WeakMethod(self._on_helper_message))
        self._finalizer = weakref.finalize(self, _kill, self._helper, self._number, self._owner,
                                           self._memory)
        self._links: list[socket.socket] = []
        self._stop: socket.socket | None = None
        self._reader: threading.Thread | None = None
        try:
            self._power_on(setup)
            booting = self.start(kernel_named(self.kernel).start_kernel, watchdog)
            poll_for(BOOT_SECONDS, booting.wait)
            booting.result(0)
        except TaskTimeout as late:     # an OSError too
            self.close()
            raise MachineError(f"not booted after {BOOT_SECONDS} s: {late}") from late
        except OSError as error:
            self.close()
            raise MachineError(f"the machine could not be started: {error}.  Each CPU takes two "
                               "descriptors here for a moment, and two in the helper process "
                               "(ulimit -n)") from error
        except BaseException:
            self.close()
            raise
        arm(self._memory)
        log("DEBUG", "machine {}: {} CPUs on host cores {}, booted in {:.0f} ms", self._number,
            self.cpus, self.placement, (time.perf_counter() - began) * 1e3)

    def _power_on(self, setup: int) -> None:
        """Have the helper fork the CPUs, and wait until all of them are there."""
        pairs: list[tuple[socket.socket, socket.socket]] = []
        stop_reading, self._stop = socket.socketpair()
        self._links.append(stop_reading)
        try:
            for _ in range(self.cpus):
                pairs.append(socket.socketpair())
                self._links.append(pairs[-1][0])
            self._helper.order([self._memory.fileno(), *(its.fileno() for _, its in pairs)],
                               do="boot", machine=self._number, cpus=self.cpus, setup=setup)
        finally:
            for _, its in pairs:
                its.close()
        self._reader = threading.Thread(
            target=inboxes.read, name="kemu-machine", daemon=True,
            args=(self._links[1:], stop_reading, weakref.ref(self._inbox)))
        self._reader.start()
        for _ in range(self.cpus + 1):      # each CPU, and the helper, who tells their pids
            if not poll_for(BOOT_SECONDS, partial(self._inbox.up.acquire, True)) or self._inbox.failure:
                raise self._inbox.failure or MachineError(f"not booted after {BOOT_SECONDS} s")

    def __enter__(self) -> Self:
        self._check_usable()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """Close it.  Raises what stopped the machine, if nobody has been told."""
        self.close()
        if kind is None:
            self.raise_unreported_failure()

    def note_failure_reported(self) -> None:
        """Somebody has been told why the machine stopped."""
        self._inbox.unreported_failure = None

    def raise_unreported_failure(self) -> None:
        """Raise what stopped the machine, if it did and nobody has been told: a test must not pass."""
        unreported_failure, self._inbox.unreported_failure = self._inbox.unreported_failure, None
        if unreported_failure:
            raise unreported_failure.with_traceback(None)

    def close(self) -> None:
        """Take the machine down; tasks that still run are ended.  Any thread; harmless twice.

        Whoever waits for a task of it gets MachineError.  In a fork of the process that
        booted it nothing happens.  Raises UsageError in the console callback.
        """
        if self._owner != os.getpid():
            return
        self._inbox.check_thread()
        with self._closing:
            if self._finalizer.alive:
                self._close()

    def _close(self) -> None:
        """May be interrupted, and called again."""
        self._header.panic.cmpxchg(0, SHUTDOWN)
        self._header.gate.fetch_or(native.GATE_PANIC)
        self._memory.notify_all()
        self._inbox.last_look()
        self._inbox.fail(MachineError("the machine was closed while the task ran"),
                         MachineError("the machine is closed: boot another"))
        if self._inbox.last_call:
            self._inbox.last_call.cancel()
        if not (self._reader and self._closed.wait(1.0)) and self._helper.alive():
            with contextlib.suppress(MachineError):
                self._helper.order(do="kill", machine=self._number)
                self._closed.wait(5.0)
        self._helper.machines.pop(self._number, None)
        self._closed.set()
        if self._stop:
            self._stop.close()
        if self._reader:
            self._reader.join(5.0)
        for link in self._links:
            link.close()
        _forget(self._memory)
        self._finalizer.detach()

    # -- running ---------------------------------------------------------------

    def start(self, function: Callable[[*Ts], T], *args: *Ts, cpu: int = 0,
              **kwargs: Any) -> Handle[T]:
        """Start function(*args, **kwargs) as a task on a CPU.  Any thread; does not wait.

        The function, its arguments and its result are copied between processes.  A type checker
        compares the arguments with the function's; one by keyword must have a default there.
        Raises UsageError for a CPU there is not or is not online, and for what
        cannot be copied.  If the CPU goes offline before the task begins, the task begins
        elsewhere, or the handle raises UsageError.
        """
        self._check_usable()
        check_callable(function)
        check_int("cpu", cpu, 0, self.cpus - 1, "one of this machine's CPUs")
        if not self._header.online_mask.test_bit(cpu):
            raise UsageError(f"CPU {cpu} is not online; there are {self.online()}")
        name = str(getattr(function, "__name__", type(function).__name__))
        ident, future = self._inbox.expect()
        try:
            with current_memory.looking_at(self._memory):
                post_request(self._views[cpu], ident, function, args, kwargs, name)
                if not self._header.online_mask.test_bit(cpu):
                    self._inbox.refuse(take_back(self._views[cpu]), gone(self._views[cpu]))
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
        """Check the scheduler's invariants (kernel/sched/audit.py); KernelBug if one is broken."""
        found = self.run(audit, cpu=self.online()[0])
        if found:
            raise KernelBug("the audit found:\n" + "\n".join(found), report="\n\n".join(
                ["the audit found:\n" + "\n".join(found), self.report()]))

    # -- looking ---------------------------------------------------------------

    @property
    def memory(self) -> native.Memory:
        """The shared memory, to look at."""
        return self._memory

    def online(self) -> list[int]:
        """The CPUs that are online, lowest first."""
        mask = self._header.online_mask.load()
        return [cpu for cpu in range(self.cpus) if mask >> cpu & 1]

    def looking(self) -> contextlib.AbstractContextManager[None]:
        """In this block, per-CPU variables and handles mean this machine's."""
        if not self._finalizer.alive:
            raise MachineError("the machine is closed: look at it before that")
        return current_memory.looking_at(self._memory)

    @contextlib.contextmanager
    def _last_look(self) -> Iterator[None]:
        """Views of a machine that is closed are not kept: they would keep its memory mapped."""
        yield
        if not self._finalizer.alive:
            _forget(self._memory)

    def tasks(self) -> list[Task]:
        """Every task there is now; of a machine that has ended, that there was."""
        with self._last_look():
            return views.tasks_of(self._memory).used()

    def report(self, stacks: bool = False) -> str:
        """What every CPU and task is doing, and the last events, if traced.  Any thread, any time.

        stacks: also the Python stack of each task that is not at rest, for which the CPUs are
        asked; waits a second at most.
        """
        told = self._inbox.ask_stacks(self._views) if stacks and self.usable() else []
        with self._last_look():
            return report.whole(self._memory, told)

    def trace_on(self) -> None:
        """Record trace events, a ring per CPU."""
        self._header.gate.fetch_or(native.GATE_TRACE)

    def trace_off(self) -> None:
        """Stop recording.  What was recorded stays."""
        self._header.gate.fetch_and(~native.GATE_TRACE)

    def trace(self) -> reader.Trace:
        """What the rings hold."""
        return reader.read(self._memory)

    # -- who may, and what the helper says ----------------------------------------

    def usable(self) -> bool:
        """Whether the machine runs, and is this process's."""
        return self._owner == os.getpid() and not self._closed.is_set()

    def check_owner(self) -> None:
        """Raises UsageError in a fork of the machine's process, and in its console callback."""
        if self._owner != os.getpid():
            raise UsageError("this machine belongs to the parent process: boot one of your own")
        self._inbox.check_thread()

    def _check_usable(self) -> None:
        self.check_owner()
        if self._inbox.failure:
            self.note_failure_reported()
            raise self._inbox.failure.with_traceback(None)

    def _on_helper_message(self, said: dict[str, Any]) -> None:
        """The helper's word, in the helper's thread."""
        if "booted" in said:
            self.pids = {int(cpu): pid for cpu, pid in said["pids"].items()}
            self._inbox.up.release()
        elif "failed" in said:
            self._inbox.fail(MachineError(f"the CPUs could not be started: {said['why']}"))
        elif "died" in said:
            self._inbox.died(said)
        elif "closed" in said:
            self._closed.set()
        elif "helper" in said:
            self._inbox.fail(MachineError("the helper process died, and its CPUs with it: "
                                          "boot another machine"))
            self._closed.set()


def _forget(memory: native.Memory) -> None:
    """Drop what is cached for a machine that is gone."""
    for cache in (views, functions, struct):
        cache.forget(memory)


def _kill(helper: boot.HelperLink, number: int, owner: int, memory: native.Memory) -> None:
    """A machine that was never closed."""
    _forget(memory)
    if owner == os.getpid() and helper.alive():
        helper.machines.pop(number, None)
        with contextlib.suppress(MachineError):
            helper.order(do="kill", machine=number)
