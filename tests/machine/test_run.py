"""Functions go to a CPU and come back as values, errors or lines on the console."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kemu import native
from kemu.errors import MachineError, OutOfMemory, RemoteError, TaskTimeout, UsageError
from kemu.kernel.sched.completion import Completion, complete, wait_for_completion

MIB = 1 << 20


def add(a, b=1):
    return a + b


def fail_with(text):
    raise ValueError(text)


class TwoPartError(Exception):
    """Pickles, and does not come back: its __init__ wants two arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


class LocalError(Exception):
    """An exception of the test module itself."""


def fail_in_two_parts():
    raise TwoPartError("this", "that")


def fail_locally():
    raise LocalError("mine")


def give_lock():
    return threading.Lock()


def exit_three():
    sys.exit(3)


def exit_hard():
    os._exit(3)


def raise_keyboard_interrupt():
    raise KeyboardInterrupt


def hit_breakpoint():
    breakpoint()


def ask():
    return input("your name? ")


def hello():
    print("hello")


def print_two_lines():
    print("one\ntwo")


def print_half():
    print("half", end="")


def print_to_stderr():
    print("oh", file=sys.stderr)


def wait_for_ever():
    wait_for_completion(Completion.alloc())


def echo(thing):
    return thing


def new_completion():
    return Completion.alloc()


def test_value(machine):
    """A task's value comes back."""
    assert machine().run(add, 2, 3) == 5


def test_keyword_arguments(machine):
    """Keyword arguments arrive as such."""
    assert machine().run(add, a=2, b=40) == 42


def test_lambda_and_closure(machine):
    """What has no name travels by value, with what it encloses."""
    offset = 41
    assert machine().run(lambda x: x + offset, 1) == 42


@pytest.mark.parametrize("cpu", range(4))
def test_each_cpu(machine, cpu):
    """A task runs on the CPU it was sent to."""
    assert machine(4).run(native.smp_processor_id, cpu=cpu) == cpu


def test_process_of_each_cpu(machine):
    """A task runs in its CPU's process."""
    m = machine(3)
    assert {cpu: m.run(os.getpid, cpu=cpu) for cpu in range(3)} == m.pids


def test_exception(machine):
    """What a task raises is raised at the caller."""
    with pytest.raises(ValueError, match="so it goes"):
        machine().run(fail_with, "so it goes")


def test_exception_of_test_module(machine):
    """An exception class of the test's own module is the same class when it comes back."""
    with pytest.raises(LocalError, match="mine"):
        machine().run(fail_locally)


def test_remote_traceback(machine):
    """The exception carries the task's traceback as a note."""
    with pytest.raises(ValueError, match="so it goes") as caught:
        machine().run(fail_with, "so it goes")
    assert "in fail_with" in "\n".join(caught.value.__notes__)


def test_lives_after_exception(machine):
    """An exception does not harm the machine."""
    m = machine()
    with pytest.raises(ValueError, match="once"):
        m.run(fail_with, "once")
    assert m.run(add, 1) == 2


def test_exception_that_does_not_come_back(machine):
    """An exception that cannot be unpickled arrives as RemoteError, in words."""
    with pytest.raises(RemoteError, match="TwoPartError: this that"):
        machine().run(fail_in_two_parts)


@pytest.mark.parametrize("function", [exit_three, raise_keyboard_interrupt])
def test_exit_in_task(machine, function):
    """sys.exit() and Ctrl-C in a task end neither the CPU nor the caller."""
    m = machine()
    with pytest.raises(RemoteError, match=r"SystemExit: 3|KeyboardInterrupt"):
        m.run(function)
    assert m.run(add, 1) == 2


def test_hard_exit_in_task(machine):
    """os._exit() in a task takes the CPU's process with it, and the error says how."""
    with pytest.raises(MachineError, match="CPU 1 died with status 3"):
        machine().run(exit_hard, cpu=1)


def test_timeout(machine):
    """A task that does not end in time is reported with what it waits for."""
    m = machine()
    with pytest.raises(TaskTimeout, match=r"(?s)wait_for_ever\(\) on CPU 1.*D \(disk sleep\)"):
        m.run(wait_for_ever, cpu=1, timeout=0.1)


def test_lives_after_timeout(machine):
    """The machine lives on after a time-out, and so does the task."""
    m = machine()
    done = m.run(new_completion)
    waits = m.start(wait_for_completion, done, cpu=1)
    with pytest.raises(TaskTimeout):
        waits.result(timeout=0.05)
    m.run(complete, done)
    assert waits.result() is None


def test_timeout_error_of_the_task(machine):
    """A TimeoutError that the task raises is not a TaskTimeout."""
    with pytest.raises(TimeoutError) as caught:
        machine().run(raise_timeout, timeout=60)
    assert not isinstance(caught.value, TaskTimeout)


def raise_timeout():
    raise TimeoutError("of the task itself")


@pytest.mark.parametrize("thing", [threading.Lock(), (n for n in ()), sys._getframe()],
                         ids=["lock", "generator", "frame"])
def test_argument_that_cannot_travel(machine, thing):
    """The error names the thing and says what can be passed instead."""
    with pytest.raises(UsageError, match=r"cannot go to another CPU.*plain values"):
        machine().run(echo, thing)


def test_function_that_cannot_travel(machine):
    """A bound method of what cannot be copied cannot be copied."""
    with pytest.raises(UsageError, match="cannot go to another CPU"):
        machine().run(threading.Lock().acquire)


def test_result_that_cannot_travel(machine):
    """A result that cannot be copied is an error that says so, and the machine lives."""
    m = machine()
    with pytest.raises(UsageError, match="cannot go to another CPU"):
        m.run(give_lock)
    assert m.run(add, 1) == 2


@pytest.mark.parametrize("function", [hit_breakpoint, ask])
def test_no_terminal(machine, function):
    """breakpoint() and input() say why they do not work."""
    with pytest.raises(UsageError, match="a task has no terminal"):
        machine().run(function)


def test_print(machine):
    """print() arrives labelled with CPU and task, before the result."""
    lines = []
    machine(console=lines.append).run(hello, cpu=1)
    assert lines == ["[cpu1 hello] hello"]


def test_print_lines(machine):
    """Each line gets its label."""
    lines = []
    machine(console=lines.append).run(print_two_lines)
    assert lines == ["[cpu0 print_two_lines] one", "[cpu0 print_two_lines] two"]


def test_print_half_a_line(machine):
    """A line that was not ended arrives when the task ends."""
    lines = []
    m = machine(console=lines.append)
    m.run(print_half)
    m.run(hello)
    assert lines == ["[cpu0 print_half] half", "[cpu0 hello] hello"]


def test_print_to_stderr(machine):
    """Standard error arrives like standard output."""
    lines = []
    machine(console=lines.append).run(print_to_stderr)
    assert lines == ["[cpu0 print_to_stderr] oh"]


def test_print_by_default(machine, capsys):
    """Without a console of one's own the lines go to standard output."""
    machine().run(hello)
    assert capsys.readouterr().out == "[cpu0 hello] hello\n"


@pytest.mark.parametrize("size", [0, 1, 64 << 10, 3 * MIB])
def test_large_argument(machine, size):
    """Arguments of some size go there."""
    assert machine().run(len, bytes(size)) == size


@pytest.mark.parametrize("size", [64 << 10, 3 * MIB, 32 * MIB])
def test_large_result(machine, size):
    """Results of any size come back."""
    assert len(machine().run(bytes, size)) == size


def test_huge_argument(machine):
    """An argument too large for the shared memory is refused, and the machine lives."""
    m = machine()
    with pytest.raises(OutOfMemory):
        m.run(len, bytes(100 * MIB))
    assert m.run(add, 1) == 2


def test_large_arguments_are_freed(machine):
    """The memory of one call's arguments is there for the next."""
    m = machine()
    assert [m.run(len, bytes(3 * MIB)) for _ in range(40)] == [3 * MIB] * 40


def test_many_tasks(machine):
    """Many tasks at once on every CPU each give their own result."""
    m = machine(4)
    handles = [m.start(add, n, cpu=n % 4) for n in range(200)]
    assert [handle.result() for handle in handles] == list(range(1, 201))


def test_many_large_results(machine):
    """Large results of several CPUs do not get mixed up."""
    m = machine(3)
    handles = [m.start(echo, bytes([n]) * MIB, cpu=n % 3) for n in range(9)]
    assert [handle.result() for handle in handles] == [bytes([n]) * MIB for n in range(9)]


def test_several_threads(machine):
    """Several threads may use one machine."""
    m = machine(3)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: m.run(add, n, cpu=n % 3), range(200)))
    assert found == list(range(1, 201))


def test_done(machine):
    """A handle tells whether the result is there."""
    m = machine()
    handle = m.start(add, 1)
    handle.result()
    assert handle.done()


def test_closed_meanwhile(machine):
    """A task that ran when the machine was closed gives MachineError."""
    m = machine()
    handle = m.start(wait_for_ever)
    m.close()
    with pytest.raises(MachineError, match="closed while the task ran"):
        handle.result()


def test_after_close(machine):
    """A machine that is closed says so."""
    m = machine()
    m.close()
    with pytest.raises(MachineError, match="closed"):
        m.run(add, 1)


def test_wrong_arguments_of_the_function(machine):
    """Arguments the function does not take are its TypeError."""
    with pytest.raises(TypeError, match="add"):
        machine().run(add, 1, 2, 3)


def test_no_slot_left(machine):
    """A task that finds no free slot is refused, and the others run on."""
    m = machine(tasks=40)
    done = m.run(new_completion)
    handles = [m.start(wait_for_completion, done, cpu=1) for _ in range(60)]
    with pytest.raises(OutOfMemory):
        handles[-1].result()
    assert not handles[0].done()
