"""The helper: the parent of the CPU processes.  A single-threaded process of its own.

The controller starts the helper clean and does not fork it, because the user's process may
hold threads and locks.  The helper has imported the kernel, so a CPU is one fork away, and it
stays for the next boot.  It reaps CPU processes and stops a machine of which one died.

The helper ends, and with it all CPUs, when the controller is gone.  It asks the kernel to be
killed when the controller's thread that started it ends (PDEATHSIG), which works for a helper
that is stopped too.  It also watches a pidfd of the controller.  End-of-file on the socket
would not do, because a fork of the controller keeps the socket open.

Messages are JSON, one to a datagram:

    controller -> helper    {"do": "boot", "machine", "cpus", "setup"}, with the memory and a
                            socket for each CPU;  {"do": "kill", "machine"}
    helper -> controller    {"booted", "pids"}, with a pidfd for each CPU;  {"failed", "why"};
                            {"died", "cpu", "status", "task"};  {"closed"}

The helper's memory is shared with machines that may have gone wild.  It reads two words of a
machine's memory and stores one, and it takes nothing for true that it reads.

Callers: helper_link, by ``python -c``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import traceback
from dataclasses import dataclass, field
from typing import Any

from kemu import native
from kemu.errors import KemuError
from kemu.kernel.own.version import VERSIONS, kernel_named
from kemu.kernel.panic import Kind
from kemu.machine import processor
from kemu.memory.views import Cpu, Header

MESSAGE_SIZE = 65536
SHUTDOWN = 100              # header.panic: the controller closes the machine


@dataclass
class Brood:
    """The CPU processes of one machine."""

    memory: native.Memory
    pids: dict[int, int] = field(default_factory=dict)      # pid: cpu
    closing: bool = False


class Helper:
    """What the helper knows: its machines, and a pidfd for each CPU process."""

    def __init__(self, link: socket.socket, controller: int) -> None:
        self.link = link
        self.controller = controller
        self.broods: dict[int, Brood] = {}
        self.pidfds: dict[int, tuple[int, int]] = {}        # pidfd: (machine, pid)
        self.poll: select.poll = select.poll()

    def run(self) -> None:
        """Serve until the controller is gone."""
        watch = os.pidfd_open(self.controller)
        self.poll.register(watch, select.POLLIN)
        self.poll.register(self.link, select.POLLIN)
        while True:
            for fd, _ in self.poll.poll():
                if fd == watch:
                    return
                if fd == self.link.fileno():
                    data, fds, _, _ = socket.recv_fds(self.link, MESSAGE_SIZE, 64)
                    if not data:
                        return
                    self.obey(json.loads(data), fds)
                else:
                    self.bury(fd)

    def say(self, fds: list[int] | None = None, **message: Any) -> None:
        """Send a message.  If the controller is going, its pidfd ends run()."""
        try:
            socket.send_fds(self.link, [json.dumps(message).encode()], fds or [])
        except OSError:
            pass

    def obey(self, order: dict[str, Any], fds: list[int]) -> None:
        """Carry out an order, then close the descriptors that came with it."""
        if order["do"] == "boot":
            try:
                self.boot(order, fds)
            except (OSError, KemuError) as error:     # no descriptor, no process
                self.say(failed=order["machine"], why=f"{type(error).__name__}: {error}")
                self.kill(order["machine"])
        elif order["do"] == "kill":
            self.kill(order["machine"])
        for fd in fds:
            os.close(fd)

    def boot(self, order: dict[str, Any], fds: list[int]) -> None:
        """Fork a process for each CPU.  Raises OSError if the helper runs out of something."""
        if len(fds) != 1 + order["cpus"]:
            raise OSError(f"{len(fds)} of {1 + order['cpus']} descriptors arrived in the helper "
                          "process: raise its limit (ulimit -n)")
        memory = native.Memory(fds[0])
        brood = self.broods[order["machine"]] = Brood(memory)
        parent = os.getpid()
        watched = []
        for cpu in range(order["cpus"]):
            pid = os.fork()
            if not pid:
                self.become(memory, cpu, fds, order["setup"], parent)
            watched.append(self.watch(pid, order["machine"]))
            brood.pids[pid] = cpu
        self.say(watched, booted=order["machine"], pids={cpu: pid for pid, cpu in brood.pids.items()})

    def watch(self, pid: int, machine: int) -> int:
        """Have bury() called when the child is gone.  Kills a child that cannot be watched."""
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.pidfds[fd] = (machine, pid)
        self.poll.register(fd, select.POLLIN)
        return fd

    def become(self, memory: native.Memory, cpu: int, fds: list[int], setup: int,
               parent: int) -> None:
        """In the fork: keep the memory and this CPU's socket, and no other descriptor."""
        try:
            keep = sorted({0, 1, 2, memory.fileno(), fds[1 + cpu]})
            for low, high in zip(keep, [*keep[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                os.closerange(low + 1, high)
            processor.start(memory, cpu, socket.socket(fileno=fds[1 + cpu]), setup, parent)
        finally:
            os._exit(1)         # whatever happens, this process is not a second helper

    def kill(self, machine: int) -> None:
        """Kill a machine's processes.  "closed" is the answer, when the last one is reaped."""
        brood = self.broods.get(machine)
        if brood is None:
            self.say(closed=machine)
            return
        brood.closing = True
        for pid in brood.pids:
            os.kill(pid, signal.SIGKILL)
        self.forget_if_empty(machine)

    def bury(self, fd: int) -> None:
        """Reap a CPU process.  Unless the machine is being closed, stop the machine."""
        machine, pid = self.pidfds.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        brood = self.broods[machine]
        cpu = brood.pids.pop(pid)
        header = Header(brood.memory)
        kind = header.panic.cmpxchg(0, int(Kind.CPU_DIED))
        if not brood.closing and kind != SHUTDOWN:
            header.gate.fetch_or(native.GATE_PANIC)
            brood.memory.notify_all()
            self.say(died=machine, cpu=cpu, status=os.waitstatus_to_exitcode(status),
                     task=Cpu(brood.memory, cpu).curr.load())
        self.forget_if_empty(machine)

    def forget_if_empty(self, machine: int) -> None:
        """Say that a machine is closed, once it has no process."""
        if not self.broods[machine].pids:
            del self.broods[machine]
            self.say(closed=machine)


def main(fd: int, controller: int) -> None:
    """The process's main: fd is the socket to the controller."""
    native.die_with_parent()
    if os.getppid() != controller:      # it ended before that
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)       # if it were ignored, no child could be reaped
    for version in VERSIONS:        # before the first fork: the CPUs share the pages
        kernel_named(version)
    link = socket.socket(fileno=fd)
    helper = Helper(link, controller)
    try:
        helper.run()
    except BaseException:
        traceback.print_exc()       # otherwise os._exit() would hide why
    finally:
        for brood in helper.broods.values():
            for pid in brood.pids:
                os.kill(pid, signal.SIGKILL)
        os._exit(0)
