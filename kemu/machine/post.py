"""The controller's side of requests: put one into a CPU's mailbox, or take back all of them.

A CPU that goes offline clears its bit in online_mask and then empties its mailbox.  The
controller pushes a request and then reads the bit.  Both have a full barrier in between, so
at least one of them sees the request, and the caller gets an error instead of a result that
would come only when the CPU is online again.

Locks: none.  Callers: machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kemu import native
from kemu.machine.request import Request, drop, push, take_all
from kemu.memory import functions
from kemu.memory.views import Cpu, comm_words


def post_request(cpu: Cpu, ident: int, function: Callable[..., Any], args: tuple[Any, ...],
                 kwargs: dict[str, Any], name: str) -> None:
    """Put a request into a CPU's mailbox, and interrupt the CPU.  Does not wait.

    ident is the number that the result will carry, name the task's name.  Raises UsageError
    for what cannot be copied, OutOfMemory if the shared heap is full.
    """
    published = functions.publish(function)
    request = Request.alloc()
    try:
        request.arguments.store(functions.post((args, kwargs)))
    except BaseException:
        request.free()
        raise
    request.ident.store(ident)
    request.function.store(published)
    comm = comm_words(name)
    request.comm0.store(comm[0])
    request.comm1.store(comm[1])
    push(cpu, request)
    cpu.ipi.fetch_or(native.IPI_MAILBOX)
    cpu.memory.kick(cpu.cpu)


def take_back(cpu: Cpu) -> list[int]:
    """Drop every request in the mailbox of a CPU that is offline.  Returns their idents."""
    return [drop(request) for request in take_all(cpu)]
