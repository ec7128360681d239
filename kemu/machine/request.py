"""A function on its way from the controller to a CPU, and its result on the way back.

The controller is a device: it puts a request into the CPU's mailbox and raises an
interrupt there.  The CPU makes a task of it.  Function and arguments are loaded by
the task itself, never in the interrupt.

    cpu.mailbox   <- a stack of requests: pushed by the controller (cmpxchg), popped
                     whole (xchg), oldest last; by the CPU; or, if after a push it finds
                     the CPU offline, by the controller

A CPU that goes offline clears its bit and then empties its mailbox; the controller fills
it and then looks at the bit; both with full barriers.  So one of them sees the request,
and its caller is told, instead of waiting until the CPU is up again.

Locks: none.  Callers: machine; processor.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

from kemu import native
from kemu.errors import KernelPanic, MachineStopped, OutOfMemory, RemoteError, UsageError, text_of
from kemu.kernel.exec import Execs
from kemu.kernel.fork import copy_process, do_exit, start_over
from kemu.kernel.own.system import system
from kemu.kernel.panic import Kind, held, panic
from kemu.kernel.sched.runqueue import runqueues, this_rq
from kemu.kernel.sched.schedule import ThreadEnds
from kemu.kernel.sched.wakeup import wake_up_new_task
from kemu.memory import functions
from kemu.memory.struct import Struct, Word
from kemu.memory.views import Cpu, Task, comm_words


class Request(Struct):
    """What the controller wants run."""

    next = Word()
    ident = Word()
    function = Word()
    arguments = Word()
    comm0 = Word()
    comm1 = Word()


def post_request(cpu: Cpu, ident: int, function: Callable[..., Any], args: tuple[Any, ...],
                 kwargs: dict[str, Any], name: str) -> None:
    """Put a request into a CPU's mailbox, and interrupt it.  In the controller."""
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
    head = cpu.mailbox.load()
    while True:
        request.next.store(head)
        seen = cpu.mailbox.cmpxchg(head, request.base)
        if seen == head:
            break
        head = seen
    cpu.ipi.fetch_or(native.IPI_MAILBOX)
    cpu.memory.kick(cpu.cpu)


def _empty(cpu: Cpu) -> list[Request]:
    """Take all requests out of a mailbox, oldest first."""
    requests = []
    base = cpu.mailbox.xchg(0)
    while base:
        requests.append(Request(cpu.memory, base))
        base = requests[-1].next.load()
    return requests[::-1]


def _drop(request: Request) -> int:
    """Free a request that nobody will run; who waits for it."""
    ident = request.ident.load()
    request.memory.heap_free(request.arguments.load())
    request.free()
    return ident


def gone(cpu: Cpu) -> UsageError:
    """Why a request was not run."""
    return UsageError(f"CPU {cpu.cpu} went offline before the task could begin there")


def take_back(cpu: Cpu) -> list[int]:
    """Whose requests are in the mailbox of a CPU that is offline: they are dropped.  In the controller."""
    return [_drop(request) for request in _empty(cpu)]


def close_mailbox(cpu: int) -> None:
    """The CPU is off: refuse what came too late.  In its idle task, interrupts off."""
    rq = runqueues[cpu]
    for request in _empty(rq):
        _refuse(request, gone(rq))


def _refuse(request: Request, error: Exception) -> None:
    _send(("result", _drop(request), False, pickle.dumps((error, ""))))


def open_mailbox() -> None:
    """The mailbox interrupt: a task for each request, oldest first.  Interrupts are off."""
    rq = this_rq()
    for request in _empty(rq):
        try:
            p = copy_process(user_task, request.base, "", home=rq.cpu, allowed=1 << rq.cpu)
        except OutOfMemory as error:        # the caller's to know, not whom this interrupted
            _refuse(request, error)
            continue
        p.comm0.store(request.comm0.load())
        p.comm1.store(request.comm1.load())
        wake_up_new_task(p)


_send: Callable[[tuple[Any, ...]], None]


def send_results_with(send: Callable[[tuple[Any, ...]], None]) -> None:
    """Who takes messages to the controller: set once per CPU process."""
    global _send
    _send = send


def user_task(me: Task) -> None:
    """What a task made of a request runs."""
    request = Request(system.memory, me.arg.load())
    ident, published, arguments = (word.load() for word in (request.ident, request.function,
                                                            request.arguments))
    request.free()
    try:
        args, kwargs = functions.take(arguments)
        function = functions.load(published)
        value = function(*args, **kwargs)
        _check_clean(me, None)
        answer = ("result", ident, True, functions.dumps(value))
    except ThreadEnds:
        raise
    except Execs as successor:
        _check_clean(me, successor)
        start_over(_next_request(ident, successor).base, successor.comm)
    except BaseException as error:
        if system.header.panic.load():
            raise MachineStopped from error
        _check_clean(me, error)
        answer = ("result", ident, False, _dump_error(error))
    _send(answer)
    do_exit()


def _next_request(ident: int, successor: Execs) -> Request:
    """What the task runs from now on, for the same caller."""
    request = Request.alloc()
    request.ident.store(ident)
    request.function.store(successor.function)
    request.arguments.store(successor.arguments)
    return request


def _check_clean(me: Task, error: BaseException | None) -> None:
    """A task that ends with a lock held or preemption off is an oops, with or without an error."""
    if me.preempt_count.load() or native.irqs_disabled():
        how = f"raised {type(error).__name__}" if error else "returned"
        panic(Kind.OOPS, f"Oops: {me.comm} {how} with {held(me)}",
              stack="".join(traceback.format_exception(error)) if error else "")


def _dump_error(error: BaseException) -> bytes:
    """An exception and its traceback, as it can travel."""
    text = "".join(traceback.format_exception(error))
    plain = isinstance(error, Exception) and not isinstance(error, KernelPanic)
    if plain:
        try:
            data = functions.dumps((error, text))
            pickle.loads(data)      # an exception may pickle and yet not come back
            return data
        except Exception:  # noqa: S110 - it cannot travel; its text can
            pass
    return functions.dumps((RemoteError(f"the task raised {type(error).__name__}: "
                                        f"{text_of(error)}"), text))
