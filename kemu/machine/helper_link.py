"""The controller's end of the helper process, which all machines of a process share.

A thread of the controller starts the helper and then reads its messages for as long as the
controller lives.  It hands each message to the machine that the message names.  What a
machine's handler raises harms that machine only.

    HelperLink.listeners   <- machine number: weak reference to its handler

The kernel kills the helper when the thread that started it ends, so that a helper that is
stopped does not outlive the controller either.  The CPUs are killed with the helper, in the
same way.  A fork of the user's process starts a helper of its own.

Locks: _lock, for the one helper.  Callers: power.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from kemu.errors import MachineError
from kemu.machine.helper import MESSAGE_SIZE
from kemu.machine.log import log
from kemu.native import MAX_CPUS

HERE = str(Path(__file__).absolute().parents[2])
"""The folder that holds this kemu.  The helper takes kemu from there, because sys.path may have
come to hold another kemu first: a clone where the tests of an installed kemu run."""

Message = dict[str, Any]
Listener = Callable[[Message], None]


def search_path() -> list[str]:
    """sys.path without the entries that are not text, which Python's own imports skip too."""
    return [place for place in sys.path if isinstance(place, str)]


_lock = threading.RLock()     # a signal's handler may boot a machine too
_helper: HelperLink | None = None


class HelperLink:
    """The controller's end of the helper."""

    def __init__(self) -> None:
        self.owner: int = os.getpid()
        self.listeners: dict[int, Callable[[], Listener | None]] = {}
        self.numbers: Iterator[int] = itertools.count(1)
        self.link: socket.socket
        self.link, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        started: Future[subprocess.Popen[bytes]] = Future()
        try:
            threading.Thread(target=self._serve, args=(its_end, started), name="kemu-helper",
                             daemon=True).start()
            self.process: subprocess.Popen[bytes] = started.result()
        except BaseException:
            self.link.close()
            raise
        finally:
            its_end.close()
        log("DEBUG", "helper started, pid {}", self.process.pid)

    def alive(self) -> bool:
        """Whether the helper runs and is a child of this process."""
        return self.owner == os.getpid() and self.process.poll() is None

    def order(self, fds: Sequence[int] = (), **message: Any) -> None:
        """Send one order, with file descriptors.  Raises MachineError if the helper is gone."""
        try:
            socket.send_fds(self.link, [json.dumps(message).encode()], list(fds))
        except OSError as error:
            raise MachineError("the helper process is gone; boot again starts another") from error

    def enrol(self, listener: Callable[[], Listener | None]) -> int:
        """Give a machine a number; listener is a weak reference to its handler of messages."""
        number = next(self.numbers)
        self.listeners[number] = listener
        return number

    # -- the thread that starts the helper and reads its messages -----------------

    def _serve(self, its_end: socket.socket, started: Future[subprocess.Popen[bytes]]) -> None:
        try:
            started.set_result(self._spawn(its_end))
        except BaseException as error:
            started.set_exception(error)
            return
        self._listen(started.result())

    def _spawn(self, its_end: socket.socket) -> subprocess.Popen[bytes]:
        fd = its_end.fileno()
        code = (f"import sys; sys.path[:] = {[HERE, *search_path()]!r}; import kemu; del sys.path[0]; "
                f"from kemu.machine.helper import main; main({fd}, {self.owner})")
        # The CPU processes inherit the seed, so a set of texts has one order in every machine.
        return subprocess.Popen([sys.executable or "", "-c", code], pass_fds=[fd],
                                env=os.environ | {"PYTHONHASHSEED": "0"}, start_new_session=True,
                                stdin=subprocess.DEVNULL, close_fds=True)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            fds: list[int] = []
            try:
                data, fds, _, _ = socket.recv_fds(self.link, MESSAGE_SIZE, MAX_CPUS)
            except OSError:
                data = b""
            if not data:
                break
            self._tell(json.loads(data) | {"fds": fds})
        process.wait()
        for number in list(self.listeners):
            self._tell({"helper": number})

    def _tell(self, message: Message) -> None:
        """Hand a message to its machine.

        This is a function of its own because the frame of a listener that waits must not keep a
        machine alive.
        """
        number = next(int(message[word]) for word in ("booted", "failed", "died", "closed", "helper")
                      if word in message)
        listener = self.listeners.get(number, lambda: None)()
        if listener is None:        # the machine is closed, or forgotten
            for fd in message.get("fds", ()):
                os.close(fd)
            return
        try:
            listener(message)
        except Exception as error:
            log("ERROR", "the handler of machine {} raised {!r} on {}", number, error, message)
            with contextlib.suppress(MachineError):
                self.order(do="kill", machine=number)


def the_helper() -> HelperLink:
    """The process's helper, started if it does not run.  Raises OSError if it cannot be started."""
    global _helper
    with _lock:
        if _helper is None or not _helper.alive():
            _helper = HelperLink()
        return _helper
