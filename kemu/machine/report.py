"""Reports: what every CPU and task is doing, read from shared memory.

Takes no lock and needs no live CPU, so it works on a machine that hangs, has
panicked, or has lost a process.  Values may be a moment apart from each other.

Linux: sched_show_task, the lock and trace dumps of a panic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kemu import native
from kemu.kernel.sched.bug import CLASS_NAMES
from kemu.kernel.sched.runqueue import IDLE
from kemu.memory.views import Cpu, Header, Task, tasks_of
from kemu.trace import ftrace, reader
from kemu.trace.events import state_letters, state_name

TRACE_TAIL = 40


def tasks_text(memory: native.Memory) -> str:
    """A line per task: state, CPU, how many spinlocks it holds, what it waits for."""
    lines = [f"{'task':<16} {'pid':>5} {'state':<16} {'cpu':>3} {'class':<5} {'locks':>5}  waits for"]
    for task in tasks_of(memory).used():
        state = task.state.load()
        queued = task.on_rq.load() and task.sched_class.load() != IDLE      # swapper's on_rq is always 1
        running = "running" if task.on_cpu.load() else "queued" if queued else ""
        lines.append(f"{task.comm:<16} {task.pid.load():>5} "
                     f"{state_name(state) if state or not running else running:<16} "
                     f"{task.cpu.load():>3} {CLASS_NAMES[task.sched_class.load() & 3]:<5} "
                     f"{task.locks.load() or '':>5}  "
                     f"{_waits(memory, task)}".rstrip())
    return "\n".join(lines)


def _waits(memory: native.Memory, task: Task) -> str:
    tasks, lock = tasks_of(memory), task.watching.load() & ~7   # spinlock.c has a bit of its own there
    if lock and task.watch_as.load():
        owner = native.Word(memory, lock).load()
        return f"spinlock {lock:#x}" + (f" of {tasks.at(owner - 1).comm}" if 0 < owner <= tasks.nr else "")
    word = task.waits_on.load()
    whom = native.Word(memory, word).load() if word else task.waits_for.load()
    if 0 < abs(whom) <= tasks.nr:
        return f"task {tasks.at(abs(whom) - 1).comm}"
    return f"completion {task.blocked_on.load():#x}" if task.blocked_on.load() else ""


def cpus_text(memory: native.Memory) -> str:
    """A line per CPU: what it runs, who holds its runqueue's lock."""
    header, tasks = Header(memory), tasks_of(memory)
    lines = [f"{'cpu':>3} {'core':>4} {'online':<6} {'current':<16} {'state':<5} "
             f"{'queued':>6} {'resched':>7}  rq.lock"]
    for number in range(header.nr_cpus.load()):
        cpu = Cpu(memory, number)
        curr, owner = tasks.at(cpu.curr.load()), cpu.lock.load()
        lines.append(
            f"{number:>3} {cpu.host_core.load():>4} "
            f"{'yes' if header.online_mask.test_bit(number) else 'no':<6} {curr.comm:<16} "
            f"{state_letters(curr.state.load()):<5} {cpu.nr_running.load():>6} "
            f"{cpu.need_resched.load():>7}  "
            f"{'held by ' + tasks.at(owner - 1).comm if 0 < owner <= tasks.nr else 'free'}")
    return "\n".join(lines)


def trace_text(memory: native.Memory, tail: int = TRACE_TAIL) -> str:
    """The last events of all CPUs, in order of time."""
    trace = reader.read(memory)
    if not trace.events:
        return "no events: trace with Machine(trace=True), or m.trace_on()"
    return ftrace.text(trace, tail=tail)


def whole(memory: native.Memory, stacks: Sequence[str] = ()) -> str:
    """Everything, for a machine that hangs; stacks are the Python stacks of CPU processes, if wanted."""
    return "\n\n".join([cpus_text(memory), tasks_text(memory), *stacks, trace_text(memory)])


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
    ran = tasks_of(memory).at(said["task"]).comm
    return (f"the process of CPU {said['cpu']} died {how}, while the CPU ran {ran}; "
            f"the machine is gone.\n\n{whole(memory)}")
