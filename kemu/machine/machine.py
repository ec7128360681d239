"""Machine: boot it, run functions on its CPUs, and take it down.

    with kemu.Machine(cpus=4) as m:
        print(m.run(function, argument, cpu=1))

The machine is the caller's: closed when the block ends, when the process ends,
however it ends.  Machines may stand side by side and be used from any thread; a
fork of the process cannot use its parent's machines, nor harm them.

Locks: _lock, for the futures and the state.  A thread per machine reads what the
CPUs send.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Self, TypeVar

from loguru import logger

from kemu import native
from kemu.errors import (KernelBug, KernelHang, KernelWarning, MachineError, RemoteError,
                         TaskOops, UsageError)
from kemu.kernel.panic import Kind
from kemu.kernel.sched.audit import audit
from kemu.kernel.version import DEFAULT, kernel_named
from kemu.machine import boot, report
from kemu.machine.handle import Handle
from kemu.machine.override import Override, arm
from kemu.machine.patience import within
from kemu.machine.placement import place
from kemu.machine.processor import LENGTH
from kemu.machine.request import post_request
from kemu.memory import functions, space, struct, views
from kemu.memory.views import Cpu, Header, Task
from kemu.trace import reader

T = TypeVar("T")

BOOT_SECONDS = 30.0
REPORT_SECONDS = 1.0
SHUTDOWN = 100              # header.panic: the controller closes the machine
PANICS = {Kind.BUG: KernelBug, Kind.WARN: KernelWarning, Kind.OOPS: TaskOops,
          Kind.HANG: KernelHang}
_alive: weakref.WeakSet[Machine] = weakref.WeakSet()


def machines() -> list[Machine]:
    """The machines of this process that are not closed."""
    return [machine for machine in _alive if machine.usable()]


class Machine:
    """An emulated machine.

    ``cpus``: how many, 1 to 62; more than the host has cores is fine.
    ``placement``: the host core of each CPU; by default one each, then round-robin.
    ``poll_us``: how long an idle CPU polls at most before it sleeps; 0: never.
    ``tasks``: room for that many tasks.  ``warn``: "stop" or "print", on a WARN.
    ``console``: who gets the lines that tasks print; by default standard output.
    ``trace``: record trace events from the start.  ``watchdog``: report a CPU whose tasks do
    not get to run for that many seconds; 0: never.  ``kernel``: whose hotplug and migration,
    "4.13" or "2.6.6".
    """

    def __init__(self, cpus: int = 2, *, placement: Sequence[int] | None = None,
                 poll_us: int = 200, tasks: int | None = None, warn: str = "stop",
                 console: Callable[[str], None] | None = None, trace: bool = False,
                 watchdog: float = 0, kernel: str = DEFAULT,
                 overrides: Sequence[Override] = ()) -> None:
        self.placement = place(cpus, placement)
        if warn not in ("stop", "print"):
            raise UsageError(f"warn={warn!r}: 'stop' or 'print'")
        if not isinstance(poll_us, int) or poll_us < 0:
            raise UsageError(f"poll_us={poll_us!r}: microseconds, 0 or more")
        self.cpus = cpus
        self.console = console or partial(print, flush=True)
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._futures: dict[int, Future[Any]] = {}
        self._idents = itertools.count(1)
        self._failure: BaseException | None = None
        self._stacks: list[str] = []
        self._last_call: threading.Timer | None = None
        self._closed = threading.Event()
        self._up = threading.Semaphore(0)
        self.pids: dict[int, int] = {}
        self._memory = boot.new_memory(self.placement, poll_us=poll_us, warn=warn == "print",
                                       tasks=tasks or 512 + 128 * cpus, kernel=kernel)
        self.kernel = kernel
        self._header = Header(self._memory)
        if trace:
            self.trace_on()
        self._views = [Cpu(self._memory, cpu) for cpu in range(cpus)]
        self._boot(overrides, watchdog)
        _alive.add(self)

    # -- up and down -----------------------------------------------------------

    def _boot(self, overrides: Sequence[Override], watchdog: float) -> None:
        began = time.perf_counter()
        setup = boot.publish_setup(self._memory, overrides)
        self._helper = boot.the_helper()
        self._number = self._helper.enrol(weakref.WeakMethod(self._told))
        pairs = [socket.socketpair() for _ in range(self.cpus)]
        self._links = [mine for mine, _ in pairs]
        try:
            self._helper.order([self._memory.fileno(), *(its.fileno() for _, its in pairs)],
                               do="boot", machine=self._number, cpus=self.cpus, setup=setup)
        finally:
            for _, its in pairs:
                its.close()
        self._stop_reading, self._stop = socket.socketpair()
        self._reader = threading.Thread(
            target=_read, name="kemu-machine", daemon=True,
            args=(self._links, self._stop_reading, weakref.ref(self)))
        self._reader.start()
        self._finalizer = weakref.finalize(self, _kill, self._helper, self._number, self._owner,
                                           self._memory)
        for _ in range(self.cpus + 1):      # each CPU, and the helper, who tells their pids
            if not within(BOOT_SECONDS, partial(self._up.acquire, True)) or self._failure:
                failure = self._failure or MachineError(f"not booted after {BOOT_SECONDS} s")
                self.close()
                raise failure
        try:
            booting = self.start(kernel_named(self.kernel).start_kernel, watchdog)
            within(BOOT_SECONDS, booting.wait)
            booting.result(0)
        except BaseException:
            self.close()
            raise
        arm(self._memory)
        logger.debug("machine {}: {} CPUs on host cores {}, booted in {:.0f} ms", self._number,
                     self.cpus, self.placement, (time.perf_counter() - began) * 1e3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the machine down; tasks that still run are ended.  Harmless twice."""
        if self._owner != os.getpid() or (self._closed.is_set() and not self._links):
            return
        self._header.panic.cmpxchg(0, SHUTDOWN)
        self._header.gate.fetch_or(native.GATE_PANIC)
        self._memory.wake_all()
        self._fail(MachineError("the machine was closed while the task ran"))
        self._failure = MachineError("the machine is closed")
        if self._last_call:
            self._last_call.cancel()
        if not self._closed.wait(1.0) and self._helper.alive():
            with contextlib.suppress(MachineError):
                self._helper.order(do="kill", machine=self._number)
            self._closed.wait(5.0)
        self._helper.machines.pop(self._number, None)
        self._finalizer.detach()
        self._stop.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(5.0)
        for link in [*self._links, self._stop_reading]:
            link.close()
        self._links = []
        _forget(self._memory)

    # -- running ---------------------------------------------------------------

    def start(self, function: Callable[..., T], *args: Any, cpu: int = 0, **kwargs: Any) -> Handle[T]:
        """Start function(*args, **kwargs) as a task on a CPU.  Any thread; does not wait.

        The function, its arguments and its result are copied between processes.
        Raises UsageError for a CPU there is not or is not online, and for what
        cannot be copied.
        """
        self._check_usable()
        if not callable(function):
            raise TypeError(f"{function!r:.80} is not callable")
        if isinstance(cpu, bool) or not isinstance(cpu, int) or not 0 <= cpu < self.cpus:
            raise UsageError(f"cpu={cpu!r}: this machine has CPUs 0 to {self.cpus - 1}")
        if not self._header.online_mask.test_bit(cpu):
            raise UsageError(f"CPU {cpu} is not online")
        future: Future[T] = Future()
        ident = next(self._idents)
        with self._lock:
            if self._failure:
                raise self._failure
            self._futures[ident] = future
        name = getattr(function, "__name__", type(function).__name__)
        try:
            with space.looking_at(self._memory):
                post_request(self._views[cpu], ident, function, args, kwargs, name)
        except BaseException:
            with self._lock:
                self._futures.pop(ident, None)
            raise
        return Handle(future, f"{name}() on CPU {cpu}", self.report)

    def run(self, function: Callable[..., T], *args: Any, cpu: int = 0,
            timeout: float | None = None, **kwargs: Any) -> T:
        """Run function(*args, **kwargs) as a task on a CPU, and wait for what it returns.

        What it raises is raised here, with the task's traceback as a note.
        timeout is in seconds: TaskTimeout when it is over.
        """
        return self.start(function, *args, cpu=cpu, **kwargs).result(timeout)

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
        return space.looking_at(self._memory)

    def tasks(self) -> list[Task]:
        """Every task there is now."""
        return views.tasks_of(self._memory).used()

    def report(self) -> str:
        """What every CPU and task is doing, and the last events.  Any thread, any time."""
        return report.whole(self._memory)

    def trace_on(self) -> None:
        """Record trace events, a ring per CPU."""
        self._header.gate.fetch_or(native.GATE_TRACE)

    def trace_off(self) -> None:
        """Stop recording.  What was recorded stays."""
        self._header.gate.fetch_and(~native.GATE_TRACE)

    def trace(self) -> reader.Trace:
        """What the rings hold."""
        return reader.read(self._memory)

    # -- what the CPUs and the helper say ---------------------------------------

    def usable(self) -> bool:
        """Whether the machine runs, and is this process's."""
        return self._owner == os.getpid() and not self._closed.is_set()

    def _check_usable(self) -> None:
        if self._owner != os.getpid():
            raise UsageError("this machine belongs to the parent process: boot one of your own")
        if self._failure:
            raise self._failure

    def _fail(self, why: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or why
            futures = list(self._futures.values())
            self._futures.clear()
        for future in futures:
            future.set_exception(self._failure)
        self._up.release(self.cpus + 1)

    def _split(self, buffer: bytearray, data: bytes) -> None:
        buffer += data
        while len(buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer)
            if len(buffer) < LENGTH.size + length:
                return
            message = bytes(buffer[LENGTH.size:LENGTH.size + length])
            del buffer[:LENGTH.size + length]
            try:
                self._heard(*pickle.loads(message))
            except BaseException as error:
                self._fail(MachineError(f"a message of a CPU made no sense: {error!r}"))

    def _heard(self, kind: str, *said: Any) -> None:
        if kind == "result":
            self._take_result(*said)
        elif kind == "print":
            try:
                self.console(said[0])
            except Exception as error:
                logger.error("the console callback raised {!r}", error)
        elif kind == "up":
            self._up.release()
        elif kind == "stopped":
            self._take_panic(said[0])
        elif kind == "failed":
            self._fail(MachineError(f"CPU {said[0]} did not boot:\n{said[1]}"))

    def _take_result(self, ident: int, ok: bool, data: bytes) -> None:
        with self._lock:
            future = self._futures.pop(ident, None)
        if future is None:
            return
        try:
            with space.looking_at(self._memory):
                value = pickle.loads(data)
            if ok:
                future.set_result(value)
                return
            raised, text = value
            if text:
                raised.add_note("in the task:\n" + text)
            future.set_exception(raised)
        except BaseException as error:      # unpickling runs what the task sent
            future.set_exception(RemoteError(f"what the task returned or raised cannot be "
                                             f"loaded here: {error!r}"))

    def _take_panic(self, stacks: str) -> None:
        """A CPU process has stopped.  After a hang, hear where each of them was."""
        kind = self._header.panic.load()
        self._stacks.append(stacks)
        if self._failure or kind not in PANICS:
            return
        if kind == Kind.HANG and len(self._stacks) < self.cpus:
            if len(self._stacks) == 1:      # a process that is stopped will not say
                self._last_call = threading.Timer(REPORT_SECONDS, self._end_in_panic, [Kind.HANG])
                self._last_call.start()
            return
        if self._last_call:
            self._last_call.cancel()
        self._end_in_panic(Kind(kind))

    def _end_in_panic(self, kind: Kind) -> None:
        length = self._header.report_len.load_acquire()
        said = json.loads(self._memory.read(native.HEADER["report"], length))
        self._fail(PANICS[kind](
            said["text"], cpu=said["cpu"], task=said["task"], traceback=said["traceback"],
            trace=report.trace_text(self._memory),
            report=report.panic_report(self._memory, said, self._stacks)))

    def _told(self, said: dict[str, Any]) -> None:
        """The helper's word, in the helper's thread."""
        if "booted" in said:
            self.pids = {int(cpu): pid for cpu, pid in said["pids"].items()}
            self._up.release()
        elif "died" in said:
            self._fail(MachineError(report.death_report(self._memory, said)))
        elif "closed" in said:
            self._closed.set()
        elif "helper" in said:
            self._fail(MachineError("the helper process died, and its CPUs with it"))
            self._closed.set()


def _read(links: list[socket.socket], stop: socket.socket,
          machine: weakref.ref[Machine]) -> None:
    """The reader thread: take every CPU's messages until the machine is closed, or forgotten."""
    buffers = {link.fileno(): bytearray() for link in links}
    with selectors.DefaultSelector() as selector:
        for number, link in enumerate([stop, *links]):
            selector.register(link, selectors.EVENT_READ, number)
        while True:
            for key, _ in selector.select():
                alive = machine()
                if not key.data or alive is None:
                    return
                data = links[key.data - 1].recv(1 << 16)
                if data:
                    alive._split(buffers[key.fd], data)
                else:
                    selector.unregister(key.fileobj)
                del alive


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
