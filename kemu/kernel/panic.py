"""BUG, WARN, oops: how the emulated kernel stops.

Linux: kernel/panic.c, include/asm-generic/bug.h.  Not modelled: tainting.

The first task that panics writes the report into the shared memory, then sets the gate's
panic bit, then notifies every thread.  Each task's next operation, or the wait that it is
in, then raises MachineStopped.  Writing the report takes no emulated lock, and the report
outlives the process, so the controller can always read it.

    header.panic       <- kind: by the task that panics first (cmpxchg)
    header.report      <- by that task only
    header.report_len  <- by that task, after the report (release)
    header.gate        |= GATE_PANIC, after that

Locks: none.  Callers: all files of the kernel.
"""

from __future__ import annotations

import json
import sys
import traceback
from enum import IntEnum
from types import FrameType
from typing import NoReturn

from kemu import native
from kemu.errors import MachineStopped
from kemu.kernel.printk import printk
from kemu.memory import current_memory
from kemu.memory.views import Header, Task
from kemu.trace import events


class Kind(IntEnum):
    """The values of header.panic."""

    BUG = 1
    WARN = 2
    OOPS = 3
    HANG = 4
    CPU_DIED = 5


def _stack(frame: FrameType | None) -> str:
    """The task's Python stack, without kemu's frames at the top."""
    stack = [entry for entry in traceback.extract_stack(frame)
             if not entry.filename.endswith(("threading.py", "/machine/task_thread.py"))]
    return "".join(traceback.format_list(stack))


def locks_held(me: Task) -> str:
    """Why the task may not end or sleep, in words: locks, interrupts, preemption.  "" if it may."""
    locks = me.locks.load()
    return ", ".join(filter(None, [
        f"{locks} spinlock{'s' * (locks > 1)} held" if locks else "",
        "interrupts off" if native.irqs_disabled() else "",
        f"preempt_count {me.preempt_count.load():#x}" if me.preempt_count.load() else ""]))


def panic(kind: Kind, text: str, stack: str = "") -> NoReturn:
    """Stop the machine.  Does not return: raises MachineStopped in the caller too."""
    memory = current_memory.get()
    header = Header(memory)
    me = native.current()
    if header.panic.cmpxchg(0, int(kind)):
        raise MachineStopped
    native.trace(events.PANIC, -1, int(kind), 0, 0)
    report = {
        "kind": int(kind), "text": text, "cpu": me.cpu.load(), "task": me.comm,
        "pid": me.pid.load(), "slot": me.slot, "preempt_count": native.preempt_count(),
        "held": locks_held(me),
        "traceback": stack or _stack(sys._getframe(1)),
    }
    data = json.dumps(report).encode()
    if len(data) > native.REPORT_SIZE:      # a character is twelve bytes at most
        report |= {"text": text[:1000], "traceback": report["traceback"][-native.REPORT_SIZE // 16:]}
        data = json.dumps(report).encode()
    header.write_report(data)
    header.gate.fetch_or(native.GATE_PANIC)
    memory.notify_all()
    raise MachineStopped


def _caller(depth: int) -> str:
    frame = sys._getframe(depth + 1)
    file = frame.f_code.co_filename
    at = file.rfind("/kemu/")
    return f"{file[at + 1:] if at >= 0 else file}:{frame.f_lineno}"


def BUG(why: str, depth: int = 1) -> NoReturn:
    """An invariant is broken: stop the machine.  Any context.

    There is no BUG_ON: its message would be made each time the condition is tested.
    """
    panic(Kind.BUG, f"kernel BUG at {_caller(depth)}!\n{why}")


def WARN(why: str, depth: int = 1) -> None:
    """Warn that something is wrong.  Stops the machine, unless the machine allows warnings.  Any context."""
    me = native.current()
    text = (f"WARNING: CPU: {me.cpu.load()} PID: {me.pid.load()} at {_caller(depth)}\n{why}")
    if not Header(current_memory.get()).warn_is_allowed.load():
        panic(Kind.WARN, text)
    printk(text)
