"""The task's side of a request: load the function, run it, send the result to the controller.

The result and what the function raises travel to the controller as a message of the CPU
process (processor).  An exception that cannot be pickled travels as its text (RemoteError).

Linux: none; the mailbox is a device of kemu's own.

Locks: none.  Callers: mailbox_irq.
"""

from __future__ import annotations

import pickle
import traceback
from typing import Any

from kemu import native
from kemu.errors import KernelPanic, MachineStopped, RemoteError, text_of
from kemu.kernel.exec import Execs
from kemu.kernel.fork import do_exit, start_over
from kemu.kernel.own.system import system
from kemu.kernel.panic import Kind, locks_held, panic
from kemu.kernel.sched.schedule import ThreadEnds
from kemu.machine.request import Request
from kemu.memory import functions
from kemu.memory.hook import Hook
from kemu.memory.views import Task

send: Hook[[tuple[Any, ...]], None] = Hook("user_task.send", "processor.start()")
"""Send a message to the controller.  Any context; does not wait."""


def user_task(me: Task) -> None:
    """The entry function of a task that was made of a request."""
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
    send(answer)
    do_exit()


def _next_request(ident: int, successor: Execs) -> Request:
    """The request for what the task runs from now on.  Its result goes to the same caller."""
    request = Request.alloc()
    request.ident.store(ident)
    request.function.store(successor.function)
    request.arguments.store(successor.arguments)
    return request


def _check_clean(me: Task, error: BaseException | None) -> None:
    """Panic if the task ends with a lock held, or with preemption or interrupts off."""
    if me.preempt_count.load() or native.irqs_disabled():
        how = f"raised {type(error).__name__}" if error else "returned"
        panic(Kind.OOPS, f"Oops: {me.comm} {how} with {locks_held(me)}",
              stack="".join(traceback.format_exception(error)) if error else "")


def _dump_error(error: BaseException) -> bytes:
    """Pickle an exception and its traceback, or their text if they cannot travel."""
    text = "".join(traceback.format_exception(error))
    plain = isinstance(error, Exception) and not isinstance(error, KernelPanic)
    if plain:
        try:
            data = functions.dumps((error, text))
            pickle.loads(data)      # some exceptions can be pickled but not loaded
            return data
        except Exception:  # noqa: S110 - the text travels instead
            pass
    return functions.dumps((RemoteError(f"the task raised {type(error).__name__}: "
                                        f"{text_of(error)}"), text))
