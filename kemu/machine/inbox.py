"""The controller's end of what the CPUs send: results, console lines, why the machine stopped.

A thread per machine reads the CPUs' sockets and hands each message to the machine's Inbox.
The thread holds the Inbox by a weak reference, so that it keeps no machine alive.

    futures              <- ident: the future of a result that will come.  Under lock
    failure              <- why no result will come any more.  Set once, under lock
    unreported_failure   <- the failure, until a call has raised it

A panic's report is in the shared memory, which a broken machine may have overwritten.  What
cannot be read gives a MachineError that says so.

Locks: lock; asking, which serializes requests for stacks.  Callers: machine, power.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import pickle
import selectors
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from kemu import native
from kemu.errors import (KernelBug, KernelHang, KernelPanic, KernelWarning, MachineError, RemoteError,
                         TaskOops, UsageError, text_of)
from kemu.kernel.panic import Kind
from kemu.machine import report
from kemu.machine.console import ConsoleCallback
from kemu.machine.processor import LENGTH
from kemu.machine.stacks import CpuStacks
from kemu.memory import current_memory
from kemu.memory.views import Cpu, Header

REPORT_SECONDS = 1.0
PANICS = {Kind.BUG: KernelBug, Kind.WARN: KernelWarning, Kind.OOPS: TaskOops,
          Kind.HANG: KernelHang}


class Inbox:
    """A machine's end of what its CPUs send."""

    def __init__(self, memory: native.Memory, cpus: int, console: Callable[[str], Any]) -> None:
        self.memory = memory
        self.cpus = cpus
        self.console: ConsoleCallback = ConsoleCallback(console)
        self.header: Header = Header(memory)
        self.lock = threading.RLock()   # a signal's handler may close the machine
        self.asking = threading.RLock()     # so it may here
        self.futures: dict[int, Future[Any]] = {}
        self.idents: Iterator[int] = itertools.count(1)
        self.failure: BaseException | None = None
        self.unreported_failure: BaseException | None = None
        self.up: threading.Semaphore = threading.Semaphore(0)
        self.stacks: list[str] = []
        self.last_call: threading.Timer | None = None

    # -- results that will come ----------------------------------------------------

    def expect(self) -> tuple[int, Future[Any]]:
        """A number for a result, and the future that will hold it.  Raises what stopped the machine."""
        future: Future[Any] = Future()
        ident = next(self.idents)
        with self.lock:
            self.futures[ident] = future    # before the look: a signal's handler may fail()
            if self.failure:
                del self.futures[ident]
                raise self.failure.with_traceback(None)     # otherwise it grows with each raise
        return ident, future

    def ask_stacks(self, cpus: list[Cpu]) -> list[CpuStacks | None]:
        """The Python stacks in each CPU's process, None where no answer came; [] if the machine has stopped.

        Waits REPORT_SECONDS at most.  A process answers after it has sent what its tasks have
        returned and printed so far, and the answer is taken after that.
        """
        if self.console.is_in_callback():
            return []       # the answers come to the calling thread
        with self.asking:
            try:
                asked = [(cpu, *self.expect()) for cpu in cpus]
            except Exception:       # the machine has stopped, and its failure says why
                return []
            for cpu, ident, _ in asked:
                cpu.tell_stacks.store(ident)
                self.memory.notify_monitor(cpu.cpu)
            concurrent.futures.wait([future for _, _, future in asked], REPORT_SECONDS)
            for _, ident, _ in asked:
                self.forget(ident)
            return [_answer(future) for _, _, future in asked]

    def forget(self, ident: int) -> Future[Any] | None:
        """Take the future of a result out, if it is there."""
        with self.lock:
            return self.futures.pop(ident, None)

    def refuse(self, idents: list[int], why: Exception) -> None:
        """No task will run for these."""
        for future in filter(None, map(self.forget, idents)):
            future.set_exception(why)

    def fail(self, why: BaseException, later: BaseException | None = None) -> None:
        """No result will come any more.  Every future gets the first failure that there was.

        later: what calls raise from now on, if it is not that failure.
        """
        with self.lock:
            if not self.failure and not later:
                self.unreported_failure = why
            first = self.failure or why
            self.failure = later or first
            futures = list(self.futures.values())
            self.futures.clear()
        for future in futures:
            future.set_exception(first)
        self.up.release(self.cpus + 1)

    def close(self) -> None:
        """The machine is being closed.  A panic whose message is on its way counts all the same."""
        if not self.failure and self._has_panic_report():
            self._end_in_panic()
        self.fail(MachineError("the machine was closed while the task ran"),
                  MachineError("the machine is closed: boot another"))
        if self.last_call:
            self.last_call.cancel()

    def check_thread(self) -> None:
        """Raises UsageError in the console callback, which would wait for itself."""
        if self.console.is_in_callback():
            raise UsageError("the console callback must not call its machine: no result can "
                             "arrive before it returns.  Put the line into a queue, and act on "
                             "it in another thread")

    # -- messages ------------------------------------------------------------------

    def split(self, buffer: bytearray, data: bytes) -> None:
        """Take the messages that are whole out of a CPU's buffer."""
        buffer += data
        while len(buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer)
            if len(buffer) < LENGTH.size + length:
                return
            message = bytes(buffer[LENGTH.size:LENGTH.size + length])
            del buffer[:LENGTH.size + length]
            try:
                self._receive(*pickle.loads(message))
            except BaseException as error:
                self.fail(MachineError(f"a message of a CPU made no sense: {error!r}"))

    def _receive(self, kind: str, *said: Any) -> None:
        if kind == "result":
            self._take_result(*said)
        elif kind == "print":
            self.console.print(said[0])
        elif kind == "up":
            self.up.release()
        elif kind == "stopped":
            self._take_panic(said[0])
        elif kind == "failed":
            self.fail(MachineError(f"CPU {said[0]} failed:\n{said[1]}"))
        elif kind == "refused":
            self.fail(UsageError(f"CPU {said[0]} cannot load what it was sent: every module that it "
                                 f"imports must be importable there.\n{said[1]}"))

    def _take_result(self, ident: int, ok: bool, data: bytes) -> None:
        future = self.forget(ident)
        if future is None:
            return
        try:
            with current_memory.looking_at(self.memory):
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

    # -- why the machine stopped -----------------------------------------------------

    def _has_panic_report(self) -> bool:
        """Whether a task has written its report of a panic."""
        return self.header.panic.load() in PANICS and self.header.report_len.load_acquire() > 0

    def _take_panic(self, stacks: str) -> None:
        """A CPU process ends because the machine has stopped.  After a hang it sends its stacks.

        Without a report, the task that panicked died of it; the helper then reports the death.
        """
        self.stacks.append(stacks)
        if self.failure or not self._has_panic_report():
            return
        if self.header.panic.load() == Kind.HANG and len(self.stacks) < self.cpus:
            if len(self.stacks) == 1:       # a process that is stopped will send none
                self.last_call = threading.Timer(REPORT_SECONDS, self._end_in_panic)
                self.last_call.start()
            return
        if self.last_call:
            self.last_call.cancel()
        self._end_in_panic()

    def died(self, said: dict[str, Any]) -> None:
        """A CPU process has ended: in the middle of a panic, after its report, or by itself.

        One that ended with status 0 after a panic has sent its message before.
        """
        if self.failure or (said["status"] == 0 and self._has_panic_report()):
            return
        if self._has_panic_report():
            self._end_in_panic()
        else:
            self.fail(MachineError(report.death_report(self.memory, said)))

    def _end_in_panic(self) -> None:
        """The machine has panicked: fail with what the report in the shared memory says."""
        try:
            why: BaseException = self._panic()
        except Exception as error:      # the memory is overwritten
            why = MachineError("the machine stopped, and the report that it left in the shared memory "
                               f"cannot be read ({text_of(error)}): the shared memory is damaged.  "
                               f"Boot another machine\n\n{report.whole(self.memory)}")
        self.fail(why)

    def _panic(self) -> KernelPanic:
        said = json.loads(self.header.read_report())
        return PANICS[Kind(self.header.panic.load())](
            said["text"], cpu=said["cpu"], task=said["task"], traceback=said["traceback"],
            trace=report.trace_text(self.memory),
            report=report.panic_report(self.memory, said, self.stacks))


def _answer(future: Future[Any]) -> CpuStacks | None:
    answered = future.done() and not future.exception()
    return future.result() if answered and isinstance(future.result(), CpuStacks) else None


def stack_texts(answers: list[CpuStacks | None]) -> list[str]:
    """What ask_stacks() returned, as a report shows it."""
    return [f"CPU {cpu}'s process does not answer" if answer is None else str(answer)
            for cpu, answer in enumerate(answers)]


def read_messages(links: list[socket.socket], stop: socket.socket, inbox: weakref.ref[Inbox]) -> None:
    """The reader thread: take every CPU's messages until the machine is closed, or forgotten.

    After that ``stop`` is at its end.  Closes all the sockets.
    """
    try:
        _read_until_stopped(links, stop, inbox)
    finally:
        for link in [stop, *links]:
            link.close()


def _read_until_stopped(links: list[socket.socket], stop: socket.socket,
                        inbox: weakref.ref[Inbox]) -> None:
    buffers = {link.fileno(): bytearray() for link in links}
    with selectors.DefaultSelector() as selector:
        for number, link in enumerate([stop, *links]):
            selector.register(link, selectors.EVENT_READ, number)
        while True:
            for key, _ in selector.select():
                alive = inbox()
                if not key.data or alive is None:
                    return
                try:
                    data = links[key.data - 1].recv(1 << 16)
                except OSError:         # the process died; the helper says so
                    data = b""
                if data:
                    alive.split(buffers[key.fd], data)
                else:
                    selector.unregister(key.fileobj)
                del alive
