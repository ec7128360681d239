"""BUG, WARN and oops stop the machine, and the exception carries the whole story."""

from __future__ import annotations

import os
import re

import pytest

from kemu.errors import KernelBug, KernelPanic, MachineError, TaskOops
from kemu.kernel import kthread, sched
from kemu.kernel.sched.completion import Completion, completion_on_stack, wait_for_completion
from kemu.kernel.panic import BUG, WARN, Kind
from kemu.memory import current_memory
from kemu.memory.struct import Lock, Struct
from kemu.memory.views import Header


class Guarded(Struct):
    lock = Lock()


def bug():
    BUG("the sky has fallen")


def bug_in_depth():
    bug()


def warn():
    WARN("the sky looks low")
    return "went on"


def bad_thread(_):
    raise RuntimeError("out of here")


def run_bad_thread():
    k = kthread.kthread_run(bad_thread, None, "bad")
    wait_for_completion(Completion.alloc())
    return k


def thread_returns(value):
    return value


def run_thread_that_returns(value):
    k = kthread.kthread_create_on_cpu(thread_returns, value, 1, "thread/%u")
    return kthread.kthread_stop(k)


def end_with_lock():
    Guarded.alloc().lock.lock()


def raise_with_lock():
    Guarded.alloc().lock.lock()
    raise RuntimeError("with a lock")


def end_with_preemption_off():
    sched.preempt_disable()


def end_with_interrupts_off():
    sched.local_irq_save()


def schedule_atomic():
    sched.preempt_disable()
    sched.schedule()


def sleep_with_lock():
    Guarded.alloc().lock.lock()
    with completion_on_stack() as x:
        wait_for_completion(x)


def unlock_free_lock():
    Guarded.alloc().lock.unlock()


def lock_twice():
    lock = Guarded.alloc().lock
    lock.lock()
    lock.lock()


def swallow_everything():
    try:
        bug()
    except Exception:
        return "swallowed"


def sleep_for_ever():
    wait_for_completion(Completion.alloc())


def nothing():
    pass


@pytest.fixture
def panic_of(machine):
    """What a machine of two CPUs raises when a function runs on CPU 1."""
    def run(function, *args):
        with pytest.raises(KernelPanic) as caught:
            machine(2, trace=True).run(function, *args, cpu=1)
        return caught.value
    return run


def test_bug(panic_of):
    """BUG() raises KernelBug with the kernel's line and the reason."""
    assert re.fullmatch(r"kernel BUG at \S+test_panic.py:\d+!\nthe sky has fallen",
                        panic_of(bug).text)


def test_bug_is_kernel_bug(panic_of):
    """BUG has an exception of its own."""
    assert type(panic_of(bug)) is KernelBug


def test_bug_where(panic_of):
    """The exception says which CPU and which task."""
    panic = panic_of(bug)
    assert (panic.cpu, panic.task) == (1, "bug")


def test_bug_traceback(panic_of):
    """It has the task's Python stack, innermost last."""
    assert re.search(r"(?s)in bug_in_depth.*in bug\n.*BUG\(", panic_of(bug_in_depth).traceback)


def test_bug_trace(panic_of):
    """It has the last events, the panic the last of them."""
    assert re.search(r"sched_switch: .* next_comm=bug(?s:.)*bug-\d+.*kemu_panic",
                     panic_of(bug).trace)


def test_bug_report(panic_of):
    """Its words are all of it: the text, the stack, the CPUs, the tasks."""
    report = str(panic_of(bug))
    assert all(part in report for part in
               ("the sky has fallen", "PID: ", "in bug", "swapper/0", "rq.lock", "waits for"))


def test_bug_cannot_be_swallowed(panic_of):
    """No handler of the task keeps the machine from stopping."""
    assert "the sky has fallen" in panic_of(swallow_everything).text


def test_next_use(machine):
    """Each call of a stopped machine raises the same exception."""
    m = machine(2)
    with pytest.raises(KernelBug) as first:
        m.run(bug)
    with pytest.raises(KernelBug) as second:
        m.run(nothing, cpu=1)
    assert first.value is second.value


def test_other_tasks(machine):
    """Tasks that wait when the machine stops give the same exception."""
    m = machine(2)
    handle = m.start(sleep_for_ever, cpu=1)
    with pytest.raises(KernelBug) as first:
        m.run(bug)
    with pytest.raises(KernelBug) as second:
        handle.result()
    assert first.value is second.value


def test_report_after_panic(machine):
    """A stopped machine can still be looked at."""
    m = machine(2)
    with pytest.raises(KernelBug):
        m.run(bug)
    assert "swapper/1" in m.report()


def test_warn(panic_of):
    """WARN() stops the machine, with the kernel's line."""
    panic = panic_of(warn)
    assert re.match(r"KernelWarning WARNING: CPU: 1 PID: \d+ at \S+test_panic.py:\d+\n"
                    "the sky looks low", f"{type(panic).__name__} {panic.text}")


def test_warn_print(machine):
    """WARN() is a line on the console of a machine that allows warnings, and the task goes on."""
    lines = []
    result = machine(2, warn="print", console=lines.append).run(warn)
    assert [result, *lines[1:]] == ["went on", "[cpu0 warn] the sky looks low"]


def test_oops_in_kthread(panic_of):
    """An exception that leaves a kernel thread is an oops."""
    panic = panic_of(run_bad_thread)
    assert (type(panic), panic.text) == (
        TaskOops, "Oops: RuntimeError left a kernel thread, bad: out of here")


def test_oops_traceback(panic_of):
    """Its traceback is the thread's."""
    assert "in bad_thread" in panic_of(run_bad_thread).traceback


def test_oops_on_wrong_result(panic_of):
    """So is a function of a thread that returns something other than a number."""
    assert "returns an int or None, not 'seven'" in panic_of(run_thread_that_returns, "seven").text


@pytest.mark.parametrize(("function", "how"), [
    (end_with_lock, "returned with 1 spinlock held, preempt_count 0x1"),
    (raise_with_lock, "raised RuntimeError with 1 spinlock held, preempt_count 0x1"),
    (end_with_preemption_off, "returned with preempt_count 0x1"),
    (end_with_interrupts_off, "returned with interrupts off"),
])
def test_unclean_end(panic_of, function, how):
    """A task that ends in atomic context is an oops that says what it left."""
    panic = panic_of(function)
    assert (type(panic), how in panic.text) == (TaskOops, True)


@pytest.mark.parametrize("function", [schedule_atomic, sleep_with_lock])
def test_scheduling_while_atomic(panic_of, function):
    """Sleeping in atomic context is worded as the kernel words it."""
    assert re.search(rf"(?m)^BUG: scheduling while atomic: {function.__name__}/\d+/0x00000002$",
                     panic_of(function).text)


@pytest.mark.parametrize("function", [unlock_free_lock, lock_twice])
def test_misused_lock(machine, function):
    """A spinlock used wrongly is noticed."""
    with pytest.raises(Exception, match=r"(?i)lock"):
        machine(2).run(function, timeout=30)


class Mute(Exception):
    def __str__(self):
        raise Mute


def raise_mute(_):
    raise Mute


def raise_at_length(_):
    raise ValueError("\U0001f600" * 1_000_000)


@pytest.mark.parametrize(("thread", "name"), [(raise_mute, "Mute"), (raise_at_length, "ValueError")])
def test_oops_that_is_hard_to_tell(machine, thread, name):
    """An error that cannot be shown, or is longer than a report, is an oops like another."""
    with pytest.raises(TaskOops, match=f"Oops: {name} left a kernel thread"):
        machine(2).run(run_thread, thread, timeout=30)


def run_thread(function):
    kthread.kthread_run(function, None, "odd")
    wait_for_completion(Completion.alloc())


def die_in_panic(_):
    Header(current_memory.get()).panic.store(int(Kind.BUG))
    os._exit(3)


def test_death_in_panic(machine):
    """A CPU that dies in its panic, before its report is written, is named by the helper."""
    with pytest.raises(MachineError, match="died with status 3"):
        machine(3).run(run_thread, die_in_panic, timeout=30)
