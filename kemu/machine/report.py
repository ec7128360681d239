"""What a machine is doing, in text: every CPU, every task, the last events.

A report takes no emulated lock and needs no live CPU: it reads the shared memory as it is, in
any process.  Values may be a moment apart from each other.

The memory may be damaged.  A line that cannot be made of it says so, a report has MAX_TASKS
lines of tasks at most, and no word of the memory decides how much is read.

Linux: kernel/sched/core.c (sched_show_task), the lock and trace dumps of a panic.

Locks: none.  Callers: machine, inbox.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kemu import native
from kemu.errors import text_of
from kemu.kernel.sched.bug import CLASS_NAMES
from kemu.kernel.sched.runqueue import IDLE
from kemu.machine.waits import wait_of
from kemu.memory.damage import damage
from kemu.memory.views import Cpu, Header, Task, lock_of, tasks_of, took_turns
from kemu.trace import ftrace, reader
from kemu.trace.events import state_letters, state_name

TRACE_TAIL = 40
MAX_TASKS = 4096


def _line(what: str, make: Callable[[], str]) -> str:
    """The line that make() makes, or one that says why there is none."""
    try:
        return make()
    except Exception as error:      # the memory is damaged
        return f"({what} cannot be read: {type(error).__name__}: {text_of(error)})"


def tasks_text(memory: native.Memory) -> str:
    """A line per task: state, CPU, how many spinlocks it holds, what it waits for."""
    lines = [f"{'task':<16} {'pid':>5} {'state':<16} {'cpu':>3} {'class':<5} {'locks':>5}  waits for"]
    tasks = tasks_of(memory)
    used = tasks.used()
    lines += [_line(f"task slot {task.slot}", lambda task=task: _task_line(memory, task))  # type: ignore[misc]
              for task in used[:MAX_TASKS]]
    if len(used) > MAX_TASKS:
        lines.append(f"(and {len(used) - MAX_TASKS} more tasks)")
    return "\n".join(lines)


def _task_line(memory: native.Memory, task: Task) -> str:
    state = task.state.load()
    queued = task.on_rq.load() and task.sched_class.load() != IDLE      # swapper's on_rq is always 1
    running = "running" if task.on_cpu.load() else "queued" if queued else ""
    return (f"{task.comm:<16} {task.pid.load():>5} "
            f"{state_name(state) if state or not running else running:<16} "
            f"{task.cpu.load():>3} {CLASS_NAMES[task.sched_class.load() & 3]:<5} "
            f"{task.locks.load() or '':>5}  "
            f"{_waits(memory, task)}").rstrip()


def _waits(memory: native.Memory, task: Task) -> str:
    """What the task waits for, in words."""
    lock = lock_of(task)
    if lock:
        owner = tasks_of(memory).get(native.Word(memory, lock).load())
        return f"spinlock {lock:#x}" + (f" of {owner.comm}" if owner is not None else "")
    if task.waits_on.load() or task.waits_for.load() or task.blocked_on.load():
        return wait_of(memory, task).what
    return ""


def cpus_text(memory: native.Memory) -> str:
    """A line for each CPU: the task that it runs, and the task that holds its runqueue's lock."""
    lines = [f"{'cpu':>3} {'core':>4} {'online':<6} {'current':<16} {'state':<5} "
             f"{'queued':>6} {'resched':>7}  rq.lock"]
    lines += [_line(f"CPU {number}", lambda number=number: _cpu_line(memory, number))  # type: ignore[misc]
              for number in range(memory.nr_cpus)]
    return "\n".join([*lines, *filter(None, [_line("the count of turns", lambda: _turns_text(memory))])])


def _turns_text(memory: native.Memory) -> str:
    """How often tasks did not run in parallel though two CPUs ran them; "" if they always did."""
    times = took_turns(memory)
    return (f"{times:,} times two tasks of one process ran at once on two cores, and took turns at its "
            "interpreter") if times else ""


def _cpu_line(memory: native.Memory, number: int) -> str:
    header, tasks, cpu = Header(memory), tasks_of(memory), Cpu(memory, number)
    curr, owner = tasks.at(cpu.curr.load()), tasks.get(cpu.lock.load())
    return (f"{number:>3} {cpu.host_core.load():>4} "
            f"{'yes' if header.online_mask.test_bit(number) else 'no':<6} {curr.comm:<16} "
            f"{state_letters(curr.state.load()):<5} {cpu.nr_running.load():>6} "
            f"{cpu.need_resched.load():>7}  "
            f"{'held by ' + owner.comm if owner is not None else 'free'}")


def trace_text(memory: native.Memory, tail: int = TRACE_TAIL) -> str:
    """The last events of all CPUs, in order of time."""
    return _line("the trace", lambda: _events_text(memory, tail))


def _events_text(memory: native.Memory, tail: int) -> str:
    trace = reader.read(memory)
    if not trace.events:
        return "no events: trace with Machine(trace=True), or m.trace_on()"
    return ftrace.text(trace, tail=tail)


def whole(memory: native.Memory, stacks: Sequence[str] = ()) -> str:
    """Everything, for a machine that hangs; stacks are the Python stacks of CPU processes, if wanted."""
    found = _line("the damage", lambda: damage(memory))
    return "\n\n".join([*([f"the shared memory is damaged: {found}"] if found else []),
                        cpus_text(memory), tasks_text(memory), *stacks, trace_text(memory)])


def panic_report(memory: native.Memory, said: dict[str, Any], stacks: list[str]) -> str:
    """What a KernelPanic shows."""
    parts = [said["text"],
             f"CPU: {said['cpu']} PID: {said['pid']} Comm: {said['task']} "
             f"preempt_count: {said['preempt_count']:#x}"
             + (f" ({said['held']})" if said["held"] else ""),
             "Call trace (most recent call last):\n" + said["traceback"].rstrip(),
             whole(memory, list(filter(None, stacks)))]
    return "\n\n".join(parts)


def death_report(memory: native.Memory, said: dict[str, Any]) -> str:
    """What a MachineError shows when a CPU process died."""
    status = said["status"]
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    ran = _line("the task", lambda: tasks_of(memory).at(said["task"]).comm)
    return (f"the process of CPU {said['cpu']} died {how}, while the CPU ran {ran}; "
            f"the machine is gone.\n\n{whole(memory)}")
