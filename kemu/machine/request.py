"""A request: a function that the controller wants run on a CPU, in the CPU's mailbox.

The controller is a device.  It puts a request into a CPU's mailbox and raises an interrupt
there, and the CPU makes a task of the request.  Each side has a module of its own:

    post          the controller: put a request into a mailbox
    mailbox_irq   the interrupt and the idle task: take the requests out
    user_task     the task: load the function, run it, send the result

    cpu.mailbox   <- a stack of requests.  The controller pushes one (cmpxchg); the CPU pops
                     all (xchg); if the controller has pushed and then sees that the CPU is
                     offline, it pops all itself

Locks: none.  Callers: post, mailbox_irq, user_task.
"""

from __future__ import annotations

from typing import Final

from kemu.errors import MachineError, UsageError
from kemu.memory.struct import Struct, Word
from kemu.memory.views import Cpu


class Request(Struct):
    """What the controller wants run, for the caller that it knows by a number, ident."""

    next: Final = Word()
    ident: Final = Word()
    function: Final = Word()
    arguments: Final = Word()
    comm0: Final = Word()
    comm1: Final = Word()


def push(cpu: Cpu, request: Request) -> None:
    """Put a request on top of a CPU's mailbox.  Any context; does not sleep."""
    head = cpu.mailbox.load()
    while True:
        request.next.store(head)
        seen = cpu.mailbox.cmpxchg(head, request.base)
        if seen == head:
            return
        head = seen


def take_all(cpu: Cpu) -> list[Request]:
    """Take every request out of a mailbox, oldest first.  Any context; does not sleep.

    Raises MachineError if the requests form a circle, and UsageError if one lies outside the
    memory: then the shared memory is damaged.
    """
    requests: list[Request] = []
    seen: set[int] = set()
    base = cpu.mailbox.xchg(0)
    while base:
        if base in seen:
            raise MachineError(f"the mailbox of CPU {cpu.cpu} holds requests in a circle: the shared "
                               "memory is damaged.  Boot another machine")
        seen.add(base)
        requests.append(Request(cpu.memory, base))
        base = requests[-1].next.load()
    return requests[::-1]


def drop(request: Request) -> int:
    """Free a request that no task will run.  Returns its ident."""
    ident = request.ident.load()
    request.memory.heap_free(request.arguments.load())
    request.free()
    return ident


def went_offline(cpu: Cpu) -> UsageError:
    """The error for the caller of a request that was dropped."""
    return UsageError(f"CPU {cpu.cpu} went offline before the task could begin there: start the task "
                      "again on a CPU that is online")
