"""The helper: the CPUs' parent.  Run as a process of its own, single-threaded.

It is started clean, never forked from the user's process, which may hold threads
and locks; it has imported the kernel, so that a CPU is one fork away; it is kept
for the next boot.  It reaps CPUs, stops a machine whose CPU died, and ends itself,
and so all CPUs, when the controller is gone, which it learns from a pidfd: a fork
of the controller keeps sockets open, and PDEATHSIG would follow a thread.

Messages are JSON, a datagram each; see the methods of Helper for their words.

Callers: boot, by ``python -c``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from dataclasses import dataclass, field
from typing import Any

from kemu import native
from kemu.errors import KemuError
from kemu.kernel.panic import Kind
from kemu.kernel.own.version import VERSIONS, kernel_named
from kemu.machine import processor
from kemu.memory.views import Cpu, Header

MESSAGE_SIZE = 65536
SHUTDOWN = 100              # header.panic: the controller closes the machine


@dataclass
class Brood:
    """The CPUs of one machine."""

    memory: native.Memory
    pids: dict[int, int] = field(default_factory=dict)      # pid: cpu
    closing: bool = False


class Helper:
    def __init__(self, link: socket.socket, controller: int) -> None:
        self.link = link
        self.controller = controller
        self.broods: dict[int, Brood] = {}
        self.pidfds: dict[int, tuple[int, int]] = {}        # pidfd: (machine, pid)
        self.poll = select.poll()

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

    def say(self, **message: Any) -> None:
        try:
            self.link.send(json.dumps(message).encode())
        except OSError:
            pass        # the controller is going; its pidfd will tell

    def obey(self, order: dict[str, Any], fds: list[int]) -> None:
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
        """boot machine cpus setup, with the memory and a socket per CPU."""
        if len(fds) != 1 + order["cpus"]:
            raise OSError(f"{len(fds)} of {1 + order['cpus']} descriptors arrived in the helper "
                          "process: raise its limit (ulimit -n)")
        memory = native.Memory(fds[0])
        brood = self.broods[order["machine"]] = Brood(memory)
        parent = os.getpid()
        for cpu in range(order["cpus"]):
            pid = os.fork()
            if not pid:
                self.become(memory, cpu, fds, order["setup"], parent)
            self.watch(pid, order["machine"])
            brood.pids[pid] = cpu
        self.say(booted=order["machine"], pids={cpu: pid for pid, cpu in brood.pids.items()})

    def watch(self, pid: int, machine: int) -> None:
        """Be told when the child is gone.  A child that cannot be watched is not kept."""
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.pidfds[fd] = (machine, pid)
        self.poll.register(fd, select.POLLIN)

    def become(self, memory: native.Memory, cpu: int, fds: list[int], setup: int,
               parent: int) -> None:
        """In the fork: keep the memory and this CPU's socket, and no other descriptor."""
        try:
            keep = sorted({0, 1, 2, memory.fileno(), fds[1 + cpu]})
            for low, high in zip(keep, [*keep[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                os.closerange(low + 1, high)
            processor.start(memory, cpu, socket.socket(fileno=fds[1 + cpu]), setup, parent)
        finally:
            os._exit(1)         # whatever happens, not a second helper

    def kill(self, machine: int) -> None:
        """kill machine: answered by closed, when the last CPU is reaped."""
        brood = self.broods.get(machine)
        if brood is None:
            self.say(closed=machine)
            return
        brood.closing = True
        for pid in brood.pids:
            os.kill(pid, signal.SIGKILL)
        self.forget_if_empty(machine)

    def bury(self, fd: int) -> None:
        """A CPU is gone: if nobody asked for it, the machine stops."""
        machine, pid = self.pidfds.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        brood = self.broods[machine]
        cpu = brood.pids.pop(pid)
        header = Header(brood.memory)
        kind = header.panic.cmpxchg(0, int(Kind.CPU_DIED))
        # One that dies in its panic, before the gate is shut, has told nobody.
        if not brood.closing and (not kind or (status and kind != SHUTDOWN)):
            header.gate.fetch_or(native.GATE_PANIC)
            brood.memory.notify_all()
            self.say(died=machine, cpu=cpu, status=os.waitstatus_to_exitcode(status),
                     task=Cpu(brood.memory, cpu).curr.load())
        self.forget_if_empty(machine)

    def forget_if_empty(self, machine: int) -> None:
        if not self.broods[machine].pids:
            del self.broods[machine]
            self.say(closed=machine)


def main(fd: int, controller: int) -> None:
    """The process's main: fd is the socket to the controller."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)       # ignored, it would leave nobody to reap
    for version in VERSIONS:        # before the first fork: the CPUs share the pages
        kernel_named(version)
    link = socket.socket(fileno=fd)
    helper = Helper(link, controller)
    try:
        helper.run()
    finally:
        for brood in helper.broods.values():
            for pid in brood.pids:
                os.kill(pid, signal.SIGKILL)
        os._exit(0)
