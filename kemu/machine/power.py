"""A machine's processes and sockets: power it on, take it down, and handle the helper's messages.

    off, for a machine that runs        panic = SHUTDOWN, then the gate, then every bell: each
                                        task ends at its next operation, each process after it
    CLEAN_SECONDS later                 SIGKILL, by pidfd, to each process that is left
    KILL_SECONDS later at most          off() returns

off() needs nothing of the tasks and nothing of the helper.  The CPU processes are the helper's
children, so if the helper is stopped they stay as zombies until it goes on.

    closed       <- set when the helper has reaped every CPU process
    pidfds       <- CPU: descriptor of its process.  Sent by the helper, closed by off()

Locks: _closing.  Callers: machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from kemu import native
from kemu.errors import MachineError
from kemu.machine import helper_link
from kemu.machine.helper import SHUTDOWN
from kemu.machine.inbox import Inbox, read_messages
from kemu.machine.timeout import poll_for
from kemu.memory import functions, struct, views
from kemu.memory.views import Header

BOOT_SECONDS = 30.0
CLEAN_SECONDS = 0.5
KILL_SECONDS = 0.3
READER_SECONDS = 0.1


class Power:
    """The processes of one machine, and the sockets to them."""

    def __init__(self, memory: native.Memory, cpus: int, inbox: Inbox) -> None:
        self.memory = memory
        self.cpus = cpus
        self.inbox = inbox
        self.owner: int = os.getpid()
        self.closed: threading.Event = threading.Event()
        self.pids: dict[int, int] = {}
        self.pidfds: dict[int, int] = {}
        self._closing = threading.RLock()
        self._links: list[socket.socket] = []
        self._stop_reader: socket.socket | None = None
        self._reader: threading.Thread | None = None
        try:
            self._helper = helper_link.the_helper()
        except OSError as error:
            raise MachineError(f"the helper process cannot be started: {error}") from error
        self.number: int = self._helper.enrol(weakref.WeakMethod(self._on_helper_message))
        self._finalizer = weakref.finalize(self, _forgotten, self._helper, self.number, self.owner,
                                           memory, self.pidfds)

    # -- on ----------------------------------------------------------------------

    def on(self, setup: int, boot: Callable[[float], Any]) -> None:
        """Start the CPU processes, then call boot(BOOT_SECONDS), which boots the kernel on them.

        setup: where the arena holds what the processes need to know.  If anything fails, the
        machine is off again; raises MachineError, or what boot() raises.
        """
        try:
            self._start_processes(setup)
            boot(BOOT_SECONDS)
        except OSError as error:
            self.off()
            raise MachineError(f"the machine could not be started: {error}.  Each CPU takes three "
                               "descriptors here for a moment, and two in the helper process: raise "
                               "the limit (ulimit -n)") from error
        except BaseException:
            self.off()
            raise

    def _start_processes(self, setup: int) -> None:
        """Have the helper fork the CPUs, and wait until all of them are there."""
        pairs: list[tuple[socket.socket, socket.socket]] = []
        stop, self._stop_reader = socket.socketpair()
        self._links.append(stop)
        try:
            for _ in range(self.cpus):
                pairs.append(socket.socketpair())
                self._links.append(pairs[-1][0])
            self._helper.order([self.memory.fileno(), *(its.fileno() for _, its in pairs)],
                               do="boot", machine=self.number, cpus=self.cpus, setup=setup)
        finally:
            for _, its in pairs:
                its.close()
        self._reader = threading.Thread(target=read_messages, name="kemu-machine", daemon=True,
                                        args=(self._links[1:], stop, weakref.ref(self.inbox)))
        self._reader.start()
        for _ in range(self.cpus + 1):      # each CPU says so, and the helper sends their pids
            if not poll_for(BOOT_SECONDS, partial(self.inbox.up.acquire, True)) or self.inbox.failure:
                raise self.inbox.failure or MachineError(f"not booted after {BOOT_SECONDS} s")

    # -- off ---------------------------------------------------------------------

    def is_on(self) -> bool:
        """Whether off() was not called yet.  The machine may have stopped by itself."""
        return self._finalizer.alive

    def off(self) -> None:
        """Take the machine down, within a second.  Any thread; harmless twice."""
        with self._closing:
            if self._finalizer.alive:
                self._off()

    def _off(self) -> None:
        """May be interrupted by an exception, and called again."""
        header = Header(self.memory)
        header.panic.cmpxchg(0, SHUTDOWN)
        header.gate.fetch_or(native.GATE_PANIC)
        self.memory.notify_all()
        self.inbox.close()
        if not (self.pidfds and self.closed.wait(CLEAN_SECONDS)) and self._helper.alive():
            self._kill()
            self.closed.wait(KILL_SECONDS)
        self._helper.listeners.pop(self.number, None)
        self.closed.set()
        self._close_descriptors()
        forget_memory(self.memory)
        self._finalizer.detach()

    def _kill(self) -> None:
        kill_processes(self.pidfds)
        with contextlib.suppress(MachineError):     # in case it has not sent the pidfds yet
            self._helper.order(do="kill", machine=self.number)

    def _close_descriptors(self) -> None:
        close_pidfds(self.pidfds)
        if self._stop_reader:
            self._stop_reader.close()
        if self._reader:        # it closes the links
            self._reader.join(READER_SECONDS)
        else:
            for link in self._links:
                link.close()

    # -- what the helper says ------------------------------------------------------

    def _on_helper_message(self, said: dict[str, Any]) -> None:
        """Take one message of the helper.  Runs in the thread that all machines share."""
        if "booted" in said:
            self._take_processes(said)
        elif "failed" in said:
            self.inbox.fail(MachineError(f"the CPUs could not be started: {said['why']}"))
        elif "died" in said:
            self.inbox.died(said)
        elif "closed" in said:
            self.closed.set()
        elif "helper" in said:
            self.inbox.fail(MachineError("the helper process died, and its CPUs with it: "
                                         "boot another machine"))
            self.closed.set()

    def _take_processes(self, said: dict[str, Any]) -> None:
        self.pids = {int(cpu): pid for cpu, pid in said["pids"].items()}
        self.pidfds.update(enumerate(said["fds"]))
        if len(self.pidfds) < self.cpus:
            self.inbox.fail(MachineError(
                f"{len(self.pidfds)} of the {self.cpus} descriptors of CPU processes arrived: raise the "
                "limit of this process (ulimit -n)"))
        self.inbox.up.release()


def kill_processes(pidfds: dict[int, int]) -> None:
    """SIGKILL to each process, stopped or not; one that is gone already is left alone."""
    for fd in list(pidfds.values()):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)


def close_pidfds(pidfds: dict[int, int]) -> None:
    """Close each descriptor once."""
    while pidfds:
        os.close(pidfds.popitem()[1])


def forget_memory(memory: native.Memory) -> None:
    """Drop what this process caches for a memory, so that it can be unmapped."""
    for cache in (views, functions, struct):
        cache.forget(memory)


def _forgotten(helper: helper_link.HelperLink, number: int, owner: int, memory: native.Memory,
               pidfds: dict[int, int]) -> None:
    """Take down a machine that was never closed.  In a fork, close this process's descriptors only."""
    forget_memory(memory)
    if owner == os.getpid():
        kill_processes(pidfds)
        helper.listeners.pop(number, None)
        if helper.alive():
            with contextlib.suppress(MachineError):
                helper.order(do="kill", machine=number)
    close_pidfds(pidfds)
