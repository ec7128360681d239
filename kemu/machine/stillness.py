"""Whether a wait for a result can ever end: the protocol by which a machine is said to hang.

A wait is hopeless if no CPU has anything to do, no result is under way, and no thread of this
process can give a CPU something to do.  Only these words are read:

    cpu.idling, cpu.idled   by that CPU, before it looks for work and before it takes work (quiet.c)
    cpu.ipi, need_resched   by the task or the controller that wants something of the CPU
    cpu.next_event          by that CPU: when its next timer is due
    header.panic            by the task that stops the machine
    machine.waiting         by each thread that waits for a result, of itself

The waiting thread goes through these steps, in this order:

    1. look     every CPU idles with nothing due: all_blocked().  Keep each CPU's count of idlings
    2. again    for hang_after seconds.  If a count has changed, begin anew
    3. ask      each CPU process for its stacks.  It sends them behind every result and line that its
                tasks have sent.  The thread that brings the answers has then brought the results
    4. threads  every thread of this process is kemu's own, or waits without a limit for a result
                of this machine that has not come
    5. look     as step 1: the counts are those of step 1, and the awaited result is not there

Why this accuses no machine that lives:

    A task that runs, or is to run     its CPU is not idle, however slowly the host runs it
    A timer, an interrupt, a request   is due at a CPU: all_blocked() is false
    A CPU that woke in between         its count has changed, because a CPU counts before it idles again
    A result on its way                has come by step 3, which comes before step 5
    A process that is stopped          does not answer in step 3, whether its CPU idles or runs
    A line in the console callback     the callback runs in the thread that brings the answers
    A thread that will act             is found by step 4; one that has acted and ended, by step 5

A wait with a limit is never accused: it ends by itself.

Time proves nothing here.  hang_after only keeps the report from a wait that is short anyway.

What the protocol cannot see: a signal's handler that would start a task later, and a thread that
Python's threading does not know.  A program with such a design boots with hang_after=None.

Locks: none.  Callers: handle.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from kemu import native
from kemu.errors import KernelHang, text_of
from kemu.machine import report
from kemu.machine.inbox import stack_texts
from kemu.machine.stacks import CpuStacks
from kemu.machine.waits import Chains

if TYPE_CHECKING:
    from kemu.machine.machine import Machine

LOOKS = 4           # in hang_after seconds

# The names of threads that start no task: kemu's own, and the timers that end a test.
BYSTANDERS = ("kemu-machine", "kemu-helper", "kemu-report", "pytest_timeout ")


class Stillness:
    """What one wait has seen of its machine."""

    def __init__(self, machine: Machine, future: Future[Any], hang_after: float) -> None:
        self._machine = machine
        self._future = future
        self._hang_after = hang_after
        self.look_after: float = hang_after / LOOKS
        self._counts: list[int] | None = None
        self._since = 0.0
        self.answers: list[CpuStacks] = []

    def is_hopeless(self) -> bool:
        """Whether the result can never come.  Called again and again by the thread that waits."""
        counts, now = self._look(), time.monotonic()
        if counts is None or counts != self._counts:
            self._counts, self._since = counts, now
            return False
        if now - self._since < self._hang_after or not self._no_thread_can_act():
            return False
        answers = self._machine.ask_stacks()
        self.answers = [answer for answer in answers if answer is not None]
        self._since = now               # if this is no hang: ask again after hang_after seconds
        return (bool(answers) and len(self.answers) == len(answers) and self._no_thread_can_act()
                and self._look() == counts and not self._future.done())

    def _look(self) -> list[int] | None:
        """How often each CPU has gone idle; None if something is due, or the machine has stopped."""
        memory, cpus = self._machine.memory, self._machine.cpu_views
        if self._machine.has_panicked() or not memory.all_blocked():
            return None
        if any(cpu.mailbox.load() or cpu.births.load() for cpu in cpus):
            return None
        counts = [cpu.idled.load_acquire() for cpu in cpus]
        return counts if memory.all_blocked() else None

    def _no_thread_can_act(self) -> bool:
        waiting = dict(self._machine.waiting)
        return all(thread.name.startswith(BYSTANDERS) or self._is_stuck(waiting.get(thread.ident or 0))
                   for thread in threading.enumerate())

    def _is_stuck(self, awaited: Future[Any] | None) -> bool:
        return awaited is not None and (awaited is self._future or not awaited.done())

    def hang(self, what: str) -> KernelHang:
        """The error that says which task waits for which.  what: the call that is awaited, name first."""
        memory, name = self._machine.memory, what.partition("(")[0][:native.COMM_LEN - 1]
        try:
            chains = Chains(memory, self.answers).text(name)
        except Exception as error:      # the memory is damaged
            chains = f"(the chain of waits cannot be read: {type(error).__name__}: {text_of(error)})"
        text = (f"INFO: {what} can never return\nEvery task is blocked, no timer is set, and nothing "
                f"has happened for {self._hang_after:g} s.\n{chains}")
        whole = report.whole(memory, stack_texts(list(self.answers)))
        return KernelHang(text, task=name, trace=report.trace_text(memory), report=f"{text}\n\n{whole}")
