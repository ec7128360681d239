"""Interrupts: where a CPU takes an IPI, the timer's, or the board's; calls to other CPUs.

Linux: kernel/smp.c (smp_call_function_single), arch/x86/kernel/irq.c (do_IRQ).
Not modelled: interrupt descriptors; call batching.

A CPU takes interrupts where it opens itself to them: at unlock, at irq enable, in
cpu_relax, in idle.  The hardware calls do_IRQ with interrupts off.

    cpu.calls     <- call structures: by any CPU, under call_lock
    cpu.ipi       |= bits: by any CPU, before it kicks this one; this CPU takes the whole word

Locks: call_lock.  Callers: hotplug, latency, machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kemu import native
from kemu.errors import UsageError
from kemu.kernel.cpumask import cpu_online
from kemu.kernel.own.system import system
from kemu.kernel.sched.runqueue import runqueues, task_tick, this_rq
from kemu.kernel.sched.timer import run_timers
from kemu.kernel.sched.wakeup import wake_up_process
from kemu.memory import functions
from kemu.memory.struct import Struct, Word
from kemu.native import now_ns, preempt_disable, preempt_enable, smp_processor_id

_handlers: dict[int, Callable[[], None]] = {}


class CallSingleData(Struct):
    """A call on its way to another CPU (Linux: struct call_single_data)."""

    next: Final = Word()        # the list node
    prev: Final = Word()
    function: Final = Word()
    argument: Final = Word()
    pending: Final = Word()     # 1 until the call has run, if the caller waits; otherwise the callee frees it
    waits: Final = Word()


def request_irq(bit: int, handler: Callable[[], None]) -> None:
    """Set the handler of an interrupt of the board.  Call it before the first task runs."""
    _handlers[bit] = handler


def do_IRQ() -> None:
    """The interrupt vector.  Interrupts are off, and stay so."""
    rq = this_rq()
    pending = rq.ipi.xchg(0)
    if pending & native.IPI_CALL_FUNCTION:
        _run_calls()
    for bit, handler in _handlers.items():
        if pending & bit:
            handler()
    if rq.next_event.load() <= now_ns():
        _timer_interrupt()


def _timer_interrupt() -> None:
    rq = this_rq()
    now = now_ns()
    if 0 < rq.tick_at.load() <= now:
        rq.lock.lock()
        task_tick(rq, system.tasks.at(rq.curr.load()))
        rq.lock.unlock()
    run_timers(now, wake_up_process)


def _run_calls() -> None:
    rq = this_rq()
    while True:
        rq.call_lock.lock()
        node = rq.calls.first()
        if node:
            system.memory.list_del(node)
        rq.call_lock.unlock()
        if not node:
            return
        call = CallSingleData.at(system.memory, node)
        function = functions.load(call.function.load())
        argument = call.argument.load()
        waits = call.waits.load()
        function(argument)
        if waits:
            call.pending.store_release(0)       # the caller frees it
        else:
            call.free()


def raise_ipi(cpu: int, bit: int) -> None:
    """Raise an interrupt at a CPU.  Any context."""
    rq = runqueues[cpu]
    rq.ipi.fetch_or(bit)
    system.memory.kick(cpu)


def flush_smp_call_function_queue() -> None:
    """Run the queued calls, even if no interrupt has come.

    Runs on the dying CPU's stopper, with interrupts off.  Linux: a hotplug state of its own,
    smpcfd_dying_cpu.
    """
    _run_calls()


def _queue_call(cpu: int, call: CallSingleData) -> bool:
    """Give the CPU a call, if it is online.

    Preemption is off.  A CPU goes offline while the machine is stopped, so it cannot go offline
    between the test of online_mask and the interrupt.  If the CPU goes offline later, it runs
    the calls that came before.
    """
    preempt_disable()
    online = cpu_online(cpu)
    if online:
        rq = runqueues[cpu]
        flags = rq.call_lock.lock_irqsave()
        rq.calls.add_tail(call.base)
        rq.call_lock.unlock_irqrestore(flags)
        raise_ipi(cpu, native.IPI_CALL_FUNCTION)
    preempt_enable()
    return online


def smp_call_function_single(cpu: int, function: Callable[[int], Any], argument: int,
                             wait: bool) -> None:
    """Run function(argument) on that CPU, in its interrupt context.  wait: wait until it has run.

    The callee's process loads the function with interrupts off, so the function should be small.
    With wait, interrupts must be on, because otherwise two CPUs that call each other would hang.
    Raises UsageError for a CPU that is not online.
    """
    if wait and cpu != smp_processor_id() and native.irqs_disabled():
        raise UsageError("smp_call_function_single(wait=True) was called with interrupts off: "
                         "turn interrupts on first, or pass wait=False")
    call = CallSingleData.alloc()
    call.function.store(functions.publish(function))
    call.argument.store(argument)
    call.waits.store(int(wait))
    call.pending.store(1)
    if not _queue_call(cpu, call):
        call.free()
        raise UsageError(f"CPU {cpu} is not online")
    if cpu == smp_processor_id():
        native.cpu_relax()
    if wait:
        call.pending.wait_while(1, system.tasks.at(runqueues[cpu].curr.load()).slot)
        call.free()


