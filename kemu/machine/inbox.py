"""What the CPUs send: results, lines for the console, and why the machine stopped.

A thread per machine reads the CPUs' sockets and hands each message to the machine's
Inbox.  It knows the Inbox by a weak reference, so that it keeps no machine alive.

    futures   <- who waits for which result: under lock
    failure   <- why nothing more will come: set once, under lock
    unreported_failure   <- the failure, until it has been raised to somebody

The console callback runs in that thread, which cannot meanwhile take the results the
callback would wait for: calling the machine from there is refused (check_thread).

Locks: lock.  Callers: machine.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import pickle
import selectors
import socket
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from kemu import native
from kemu.errors import (KernelBug, KernelHang, KernelWarning, MachineError, RemoteError, TaskOops,
                         UsageError)
from kemu.kernel.panic import Kind
from kemu.machine import report
from kemu.machine.log import log
from kemu.machine.processor import LENGTH
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
        self.console = console
        self.header = Header(memory)
        self.lock = threading.RLock()   # a signal's handler may close the machine
        self.asking = threading.RLock()     # so it may here
        self.futures: dict[int, Future[Any]] = {}
        self.idents = itertools.count(1)
        self.failure: BaseException | None = None
        self.unreported_failure: BaseException | None = None
        self.up = threading.Semaphore(0)
        self.stacks: list[str] = []
        self.last_call: threading.Timer | None = None
        self.in_console = 0             # the thread that is in the console callback
        self.console_failed = False

    # -- who waits ---------------------------------------------------------------

    def expect(self) -> tuple[int, Future[Any]]:
        """A number for a result, and who will hold it.  Raises what stopped the machine."""
        future: Future[Any] = Future()
        ident = next(self.idents)
        with self.lock:
            self.futures[ident] = future    # before the look: a signal's handler may fail()
            if self.failure:
                del self.futures[ident]
                raise self.failure.with_traceback(None)     # or it grows with each raise
        return ident, future

    def ask_stacks(self, cpus: list[Cpu]) -> list[str]:
        """Where the tasks of each CPU's process are; waits a while for those that do not answer."""
        if self.in_console == threading.get_ident():
            return []       # the answers come to this very thread
        with self.asking:
            try:
                asked = [(cpu, *self.expect()) for cpu in cpus]
            except Exception:       # the machine has stopped: who stopped it has told
                return []
            for cpu, ident, _ in asked:
                cpu.tell_stacks.store(ident)
                self.memory.notify_monitor(cpu.cpu)
            concurrent.futures.wait([future for _, _, future in asked], REPORT_SECONDS)
            return [future.result() if self.forget(ident) is None and not future.exception()
                    else f"CPU {cpu.cpu}'s process does not answer" for cpu, ident, future in asked]

    def forget(self, ident: int) -> Future[Any] | None:
        with self.lock:
            return self.futures.pop(ident, None)

    def refuse(self, idents: list[int], why: Exception) -> None:
        """Nobody will run these."""
        for future in filter(None, map(self.forget, idents)):
            future.set_exception(why)

    def fail(self, why: BaseException, later: BaseException | None = None) -> None:
        """Nothing more will come: whoever waits is told why; later: who asks from now on."""
        with self.lock:
            if not self.failure and not later:
                self.unreported_failure = why
            told = self.failure or why
            self.failure = later or told
            futures = list(self.futures.values())
            self.futures.clear()
        for future in futures:
            future.set_exception(told)
        self.up.release(self.cpus + 1)

    def check_thread(self) -> None:
        """Raises UsageError in the console callback, which would wait for itself."""
        if self.in_console == threading.get_ident():
            raise UsageError("the console callback must not call its machine: no result can "
                             "arrive before it returns.  Put the line into a queue, and act on "
                             "it in another thread")

    # -- what comes --------------------------------------------------------------

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
            self._print(said[0])
        elif kind == "up":
            self.up.release()
        elif kind == "stopped":
            self._take_panic(said[0])
        elif kind == "failed":
            self.fail(MachineError(f"CPU {said[0]} failed:\n{said[1]}"))

    def _print(self, line: str) -> None:
        self.in_console = threading.get_ident()
        try:
            self.console(line)
        except BaseException as error:      # the callback's own bug: shown once, as a thread's is
            log("ERROR", "the console callback raised {!r}", error)
            if not self.console_failed:
                self.console_failed = True
                threading.excepthook(threading.ExceptHookArgs(
                    (*sys.exc_info(), threading.current_thread())))
        finally:
            self.in_console = 0

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

    def _take_panic(self, stacks: str) -> None:
        """A CPU process has stopped.  After a hang, hear where each of them was."""
        kind = self.header.panic.load()
        self.stacks.append(stacks)
        if self.failure or kind not in PANICS or not self.header.report_len.load_acquire():
            return      # no report: who panicked has died of it, and the helper says so
        if kind == Kind.HANG and len(self.stacks) < self.cpus:
            if len(self.stacks) == 1:       # a process that is stopped will not say
                self.last_call = threading.Timer(REPORT_SECONDS, self._end_in_panic, [Kind.HANG])
                self.last_call.start()
            return
        if self.last_call:
            self.last_call.cancel()
        self._end_in_panic(Kind(kind))

    def died(self, said: dict[str, Any]) -> None:
        """A CPU process has died, maybe in the middle of a panic, or after its report."""
        kind = self.header.panic.load()
        if kind in PANICS and self.header.report_len.load_acquire():
            self._end_in_panic(Kind(kind))
        else:
            self.fail(MachineError(report.death_report(self.memory, said)))

    def last_look(self) -> None:
        """The machine is being closed: a panic whose news is on the way is one all the same."""
        kind = self.header.panic.load()
        if not self.failure and kind in PANICS and self.header.report_len.load_acquire():
            self._end_in_panic(Kind(kind))

    def _end_in_panic(self, kind: Kind) -> None:
        said = json.loads(self.header.read_report())
        self.fail(PANICS[kind](
            said["text"], cpu=said["cpu"], task=said["task"], traceback=said["traceback"],
            trace=report.trace_text(self.memory),
            report=report.panic_report(self.memory, said, self.stacks)))


def read(links: list[socket.socket], stop: socket.socket, inbox: weakref.ref[Inbox]) -> None:
    """The reader thread: take every CPU's messages until the machine is closed, or forgotten."""
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
