"""One emulated CPU: a process with its own interpreter, pinned to a host core.

The main thread is not a task.  It is the process's firmware: it starts the threads of tasks
whose home this CPU is (task_thread), and carries messages to the controller.  It sleeps on
cpu.monitor_bell, which births, messages and panics ring.

Locks: none.  Callers: helper, which forks the process.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections import deque
from typing import Any

from kemu import native
from kemu.errors import text_of
from kemu.kernel import irq
from kemu.kernel.locking import lockdep
from kemu.kernel.own import quiesce, wiring
from kemu.kernel.own.system import system
from kemu.kernel.own.version import install, this_kernel
from kemu.kernel.panic import Kind
from kemu.kernel.sched.runqueue import runqueues
from kemu.kernel.sched.schedule import preempt_schedule
from kemu.machine import mailbox_irq, programme, stacks, task_python, user_task
from kemu.machine.task_thread import swapper_main, task_main
from kemu.memory import current_memory

MONITOR_LOOK_NS = 1_000_000_000     # the main thread looks at signals at least this often
LENGTH = struct.Struct("<Q")


class Processor:
    """The main thread's view of its CPU."""

    def __init__(self, cpu: int, link: socket.socket) -> None:
        self.cpu = cpu
        self.link = link
        self.outbox: deque[bytes] = deque()
        self.console: task_python.Console = task_python.Console()

    def post(self, message: tuple[Any, ...]) -> None:
        """Have the main thread send a message.  Any thread; does not wait."""
        data = pickle.dumps(message)
        self.outbox.append(LENGTH.pack(len(data)) + data)
        system.memory.notify_monitor(self.cpu)

    def answer(self, message: tuple[Any, ...]) -> None:
        """Post a task's result, after the half line that it printed."""
        self.console.flush()
        self.post(message)

    def flush(self) -> None:
        while self.outbox:
            self.link.sendall(self.outbox.popleft())

    def run(self) -> None:
        """Serve until the machine stops and the controller has got all messages."""
        rq = runqueues[self.cpu]
        while not system.header.gate.load() & native.GATE_PANIC:     # set after the report
            p = system.tasks.get(rq.births.xchg(0))
            while p is not None:
                following = system.tasks.get(p.birth_next.load())
                _thread.start_new_thread(task_main, (p,))
                p = following
            if rq.tell_stacks.load():
                self.post(("result", rq.tell_stacks.xchg(0), True, pickle.dumps(stacks.stacks(self.cpu))))
            self.flush()
            system.memory.wait_monitor(self.cpu, MONITOR_LOOK_NS)
        hang = system.header.panic.load() == Kind.HANG
        self.post(("stopped", str(stacks.stacks(self.cpu)) if hang else ""))
        self.flush()


class Unloadable(Exception):
    """What the user's modules sent cannot be loaded in this process."""


def _load_programme(data: bytes) -> None:
    """Load what the machine was booted with.  Raises Unloadable, an error that the user can mend."""
    try:
        programme.load(data)
    except Exception as error:
        raise Unloadable(text_of(error)) from error


def start(memory: native.Memory, number: int, link: socket.socket, setup: int, parent: int) -> None:
    """What the forked process runs, to its end.  Never returns."""
    native.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    processor = Processor(number, link)
    status = 0
    try:
        current_memory.attach(memory)
        native.pin(0, runqueues[number].host_core.load())
        wanted = pickle.loads(memory.published(setup))
        sys.path[:] = wanted["path"]
        if wanted["cwd"]:
            os.chdir(wanted["cwd"])
        _load_programme(wanted["programme"])
        install(this_kernel())
        native.set_vectors(irq.do_IRQ, preempt_schedule)
        native.set_lock_vector(lockdep.mark_lock)
        irq.request_irq(native.IPI_MAILBOX, mailbox_irq.open_mailbox)
        irq.request_irq(native.IPI_QUIESCENT, quiesce.quiescent)
        user_task.send.bind(processor.answer)
        wiring.power_off.bind(mailbox_irq.close_mailbox)
        runqueues[number].os_pid.store(os.getpid())
        task_python.set_up(processor.console, lambda line: processor.post(("print", line)))
        _thread.start_new_thread(swapper_main, (number, lambda: processor.post(("up", number))))
        processor.run()
    except BaseException as error:
        status = 1
        said = "refused" if isinstance(error, Unloadable) else "failed"
        processor.post((said, number, "".join(traceback.format_exception(error))))
        processor.flush()
    finally:
        os._exit(status)
