"""Start the helper, lay out a machine's memory, start its CPUs.

The helper is shared by all machines of the process; a fork of the user's process
starts its own.  A thread of the controller reads what the helper says and tells
each machine.

Locks: _lock, for the one helper.  Callers: machine.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kemu import native
from kemu.errors import MachineError
from kemu.kernel.sched.runqueue import IDLE
from kemu.kernel.own.version import version_number
from kemu.machine.helper import MESSAGE_SIZE
from kemu.machine.log import log
from kemu.machine.override import Override
from kemu.memory import functions
from kemu.memory.views import Cpu, Header, Tasks

HERE = str(Path(__file__).absolute().parents[2])
"""The folder that holds this kemu.  The helper takes kemu from there, because sys.path may have
come to hold another kemu first: a clone where the tests of an installed kemu run."""

MIB = 1 << 20
HZ = 1000

HelperListener = Callable[[dict[str, Any]], None]


def _nobody() -> None:
    """Stands for a machine that is forgotten."""


def search_path() -> list[str]:
    """sys.path but for what is no text, which Python's own imports overlook."""
    return [place for place in sys.path if isinstance(place, str)]


_lock = threading.RLock()     # a signal's handler may boot a machine too
_helper: HelperLink | None = None


class HelperLink:
    """The controller's end of the helper."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.machines: dict[int, Callable[[], HelperListener | None]] = {}
        self.numbers = itertools.count(1)
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = (f"import sys; sys.path[:] = {[HERE, *search_path()]!r}; import kemu; del sys.path[0]; "
                f"from kemu.machine.helper import main; main({its.fileno()}, {self.owner})")
        self.process = subprocess.Popen(
            [sys.executable or "", "-c", code], pass_fds=[its.fileno()], start_new_session=True,
            stdin=subprocess.DEVNULL, close_fds=True)
        its.close()
        self.link = mine
        threading.Thread(target=self._listen, name="kemu-helper", daemon=True).start()
        log("DEBUG", "helper started, pid {}", self.process.pid)

    def alive(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def order(self, fds: Sequence[int] = (), **message: Any) -> None:
        """Send one order.  Raises MachineError if the helper is gone."""
        try:
            socket.send_fds(self.link, [json.dumps(message).encode()], list(fds))
        except OSError as error:
            raise MachineError("the helper process is gone; boot again starts another") from error

    def _listen(self) -> None:
        while True:
            try:
                data = self.link.recv(MESSAGE_SIZE)
            except OSError:
                data = b""
            if not data:
                break
            self._tell(json.loads(data))
        self.process.wait()
        for number in list(self.machines):
            self._tell({"helper": number})

    def _tell(self, said: dict[str, Any]) -> None:
        # In a frame of its own: the listener, at rest, must keep no machine alive.
        number = next(int(said[word]) for word in ("booted", "failed", "died", "closed",
                                               "helper")
                      if word in said)
        told = self.machines.get(number, _nobody)()
        if told:
            told(said)

    def enrol(self, told: Callable[[], HelperListener | None]) -> int:
        """A number for a machine; told is a weak reference to who hears of it."""
        number = next(self.numbers)
        self.machines[number] = told
        return number


def the_helper() -> HelperLink:
    """The process's helper, started if it is not there."""
    global _helper
    with _lock:
        if _helper is None or not _helper.alive():
            _helper = HelperLink()
        return _helper


def new_memory(cores: Sequence[int], *, poll_us: int, tasks: int, warn: bool,
               kernel: str, mib: int) -> native.Memory:
    """A machine's memory, as the CPUs expect it at power-on.

    The heap and the arena of functions have that many MiB of address space each: a page
    costs memory once it is used.
    """
    cpus, number = len(cores), version_number(kernel)
    try:
        memory = native.Memory.create(cpus, tasks, mib * MIB, mib * MIB)
    except OSError as error:
        raise MachineError(f"no shared memory for a machine with memory={mib} MiB: "
                           f"{error}") from error
    header = Header(memory)
    everybody = (1 << cpus) - 1
    header.possible_mask.store(everybody)
    header.present_mask.store(everybody)
    header.online_mask.store(1)
    header.active_mask.store(1)
    header.poll_max_ns.store(poll_us * 1000)
    header.tick_ns.store(1_000_000_000 // HZ)
    header.warn_is_allowed.store(int(warn))
    header.era.store(number)
    views = Tasks(memory)
    for cpu, core in enumerate(cores):
        init_idle(memory, views, cpu, core, list(cores).count(core))
    return memory


def init_idle(memory: native.Memory, views: Tasks, cpu: int, core: int, sharers: int) -> None:
    """A CPU and its swapper, which is what it runs (Linux: init_idle).

    on_rq is 1 although no queue links an idle task, and stays 1.  A waker therefore takes it
    for a task that has not left its runqueue, and stores TASK_RUNNING only.  With on_rq 0 the
    waker would wait until swapper leaves its CPU, and an interrupt that wakes swapper on that
    CPU would wait for itself (Linux: 77177856e3bf).
    """
    idle = views.at(memory.task_alloc())
    idle.set_comm(f"swapper/{cpu}")
    idle.cpu.store(cpu)
    idle.home.store(cpu)
    idle.host_core.store(core + 1)
    idle.cpus_allowed.store(1 << cpu)
    idle.sched_class.store(IDLE)
    idle.prio.store(120)
    idle.on_rq.store(1)
    idle.on_cpu.store(1)
    idle.preempt_count.store(1)
    rq = Cpu(memory, cpu)
    rq.host_core.store(core)
    rq.sharers.store(sharers)
    rq.idle.store(idle.slot)
    rq.curr.store(idle.slot)


def _working_directory() -> str:
    """"" if it was removed: then the CPUs are where the helper is."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def publish_setup(memory: native.Memory, overrides: Sequence[Override]) -> int:
    """What each CPU process needs to know before its first task; its place in the arena."""
    setup = {"path": search_path(), "cwd": _working_directory(),
             "overrides": functions.dumps(list(overrides))}
    return memory.publish(pickle.dumps(setup))
