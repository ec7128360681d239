"""One emulated CPU: a process with its own interpreter, pinned to a host core.

The main thread is no task.  It is the process's firmware: it starts the threads of
tasks whose home this CPU is, and carries messages to the controller.  Everything
else is a task: swapper/N from the start, the others as they are born.

    main thread    sleeps on cpu.monitor_bell; rung by births, messages and panics
    swapper/N      the idle loop
    a task         waits for its first turn, runs its entry function, dies

Locks: none.  Callers: helper, which forks it.
"""

from __future__ import annotations

import _thread
import builtins
import gc
import io
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
from kemu.errors import MachineStopped, UsageError, text_of
from kemu.kernel import arch, fork, irq, printk
from kemu.kernel.locking import lockdep
from kemu.kernel.own import quiesce, wiring
from kemu.kernel.own.system import system
from kemu.kernel.own.version import install, this_kernel
from kemu.kernel.panic import Kind, held, panic
from kemu.kernel.sched.runqueue import idle_tasks, runqueues
from kemu.kernel.sched.schedule import ThreadEnds, do_idle, preempt_schedule
from kemu.kernel.sched.state import PF_KTHREAD
from kemu.machine import override, request, stacks
from kemu.memory import current_memory
from kemu.memory.views import Task

MONITOR_LOOK_NS = 1_000_000_000     # the main thread looks at signals at least this often
# A task that polls holds its process's interpreter lock.  One born in the same process that
# runs on another CPU must not wait for it much longer than a CPU waits for another.
GIL_SECONDS = 200e-6
LENGTH = struct.Struct("<Q")


class Processor:
    """The main thread's view of its CPU."""

    def __init__(self, cpu: int, link: socket.socket) -> None:
        self.cpu = cpu
        self.link = link
        self.outbox: deque[bytes] = deque()
        self.console = Console()

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
        """Serve until the machine stops, and the controller has been told all."""
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
        self.post(("stopped", stacks.stacks(self.cpu) if hang else ""))
        self.flush()


def task_main(p: Task) -> None:
    """A task's thread, from its first turn to its last."""
    stacks.begins(p)
    try:
        native.enter(system.memory, p.slot, p)
        fork.schedule_tail(native.wait_turn())
        fork.run_entry(p)
    except ThreadEnds:
        stacks.ends()
    except MachineStopped as stopped:
        stacks.unwound(stopped)
    except BaseException as error:
        _oops(p, error)


def _oops(p: Task, error: BaseException) -> None:
    """An exception left a kernel thread, or kemu itself: the machine stops.

    Where not even that can be said, the process ends, which the helper says: it has no
    memory left, or it is a fork that a task made, and no CPU.
    """
    kind = "a kernel thread" if p.flags.load() & PF_KTHREAD else "a task"
    null = ""
    if isinstance(error, AttributeError) and error.obj is None:     # Python's way to say it
        null = "Unable to handle kernel NULL pointer dereference\n"
    try:
        holds = held(p)
        panic(Kind.OOPS, f"{null}Oops: {type(error).__name__} left {kind}, {p.comm}"
              f"{', with ' + holds if holds else ''}: {text_of(error)}",
              stack="".join(traceback.format_exception(error)))
    except MachineStopped:
        pass
    except BaseException:
        os._exit(1)


def swapper_main(processor: Processor) -> None:
    """swapper/N: preemption is off, as the start-up code leaves it."""
    idle = idle_tasks[processor.cpu]
    stacks.begins(idle)
    try:
        native.enter(system.memory, idle.slot, idle)
        processor.post(("up", processor.cpu))
        if processor.cpu:       # powered on by the boot CPU
            arch.play_dead(processor.cpu)
            this_kernel().start_secondary(processor.cpu)
        while True:
            do_idle()
    except MachineStopped:
        pass
    except BaseException as error:
        _oops(idle, error)


class Console(io.TextIOBase):
    """sys.stdout of a CPU process: whole lines, labelled with CPU and task."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self) -> None:
        self.partial: dict[int, str] = {}

    def write(self, text: str) -> int:
        thread = _thread.get_ident()
        text = text.encode(self.encoding, self.errors).decode()     # it will be printed elsewhere
        *lines, rest = (self.partial.pop(thread, "") + text).split("\n")
        for line in lines:
            printk.printk(line)
        if rest:
            self.partial[thread] = rest
        return len(text)

    def flush(self) -> None:
        rest = self.partial.pop(_thread.get_ident(), "")
        if rest:
            printk.printk(rest)

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


def _no_terminal(*args: object, **kwargs: object) -> Any:
    raise UsageError("a task has no terminal: breakpoint() and input() work in your own process "
                     "only.  print() does arrive; m.report() shows where every task is")


_forking = 0    # the process that forks, which the copy compares with its parent


def _before_a_fork() -> None:
    global _forking
    _forking = os.getpid()


def _in_a_fork() -> None:
    """A task has forked.  The copy is not a task, so that no task runs twice.

    The copy may call everything but kernel functions (NoTask).  If it leaves the
    task's function, it ends (_oops).  It does not outlive the thread that forked it:
    the kernel kills it with that thread, and if the CPU died before the copy could
    ask for this, the copy has another parent by now and ends here.
    """
    native.leave()
    native.die_with_parent()
    if os.getppid() != _forking:
        os._exit(1)


def _set_up_python(processor: Processor) -> None:
    """What a task finds: labelled output, no terminal, no garbage collector."""
    sys.stdout = sys.stderr = processor.console
    sys.breakpointhook = _no_terminal
    builtins.input = _no_terminal
    wiring.console.bind(lambda line: processor.post(("print", line)))
    sys.setswitchinterval(GIL_SECONDS)
    gc.disable()
    gc.freeze()


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
        for wants in pickle.loads(wanted["overrides"]):
            override.install(wants)
        install(this_kernel())
        native.set_vectors(irq.do_IRQ, preempt_schedule)
        native.set_lock_vector(lockdep.mark_lock)
        irq.request_irq(native.IPI_MAILBOX, request.open_mailbox)
        irq.request_irq(native.IPI_QUIESCENT, quiesce.quiescent)
        request.send_results_with(processor.answer)
        wiring.power_off.bind(request.close_mailbox)
        os.register_at_fork(before=_before_a_fork, after_in_child=_in_a_fork)
        runqueues[number].os_pid.store(os.getpid())
        _set_up_python(processor)
        _thread.start_new_thread(swapper_main, (processor,))
        processor.run()
    except BaseException as error:
        status = 1
        processor.post(("failed", number, "".join(traceback.format_exception(error))))
        processor.flush()
    finally:
        os._exit(status)
