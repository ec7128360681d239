"""Events as the kernel's ftrace prints them.

Linux: kernel/trace/trace.c and include/trace/events/{sched,cpuhp}.h, as of seed
000.  Perfetto and trace-cmd's readers take the text; what they do not know
(points, parking) is printed as tracing_mark_write would be: an event by name.
"""

from __future__ import annotations

from collections.abc import Callable

from kemu.trace import events as ev
from kemu.trace.reader import Event, Trace

HEADER = """\
# tracer: nop
#
#           TASK-PID   CPU#      TIMESTAMP  FUNCTION
#              | |       |          |         |
"""


def _switch(e: Event) -> str:
    return (f"prev_comm={e.who} prev_pid={e.pid} prev_prio={e.b} "
            f"prev_state={ev.state_letters(e.a)} ==> next_comm={e.subject} "
            f"next_pid={e.subject_pid} next_prio={e.c}")


def _wakeup(e: Event) -> str:
    return f"comm={e.subject} pid={e.subject_pid} prio={e.a} target_cpu={e.b:03d}"


def _subject(e: Event) -> str:
    return f"comm={e.subject} pid={e.subject_pid}"


FORMATS: dict[int, Callable[[Event], str]] = {
    ev.POINT: lambda e: e.point,
    ev.OP: lambda e: f"op={e.a} offset={e.b:#x} value={e.c}",
    ev.SCHED_SWITCH: _switch,
    ev.SCHED_WAKING: _wakeup,
    ev.SCHED_WAKEUP: _wakeup,
    ev.SCHED_WAKEUP_NEW: _wakeup,
    ev.SCHED_MIGRATE_TASK: lambda e: f"{_subject(e)} prio={e.a} orig_cpu={e.b} dest_cpu={e.c}",
    ev.SCHED_WAIT_TASK: lambda e: f"{_subject(e)} prio={e.a}",
    ev.SCHED_KTHREAD_STOP: _subject,
    ev.SCHED_KTHREAD_STOP_RET: lambda e: f"ret={e.a}",
    ev.KTHREAD_PARK: _subject,
    ev.KTHREAD_UNPARK: _subject,
    ev.KTHREAD_BIND: lambda e: f"{_subject(e)} cpu={e.a}",
    ev.KTHREAD_PARKED: lambda e: f"comm={e.who} pid={e.pid} {'enter' if e.a else 'leave'}",
    ev.SCHED_PROCESS_EXIT: _subject,
    ev.PANIC: lambda e: f"kind={e.a}",
    ev.CPUHP_ENTER: lambda e: f"cpu: {e.a:04d} target: {e.b:3d} step: {e.c:3d}",
    ev.CPUHP_EXIT: lambda e: f" cpu: {e.a:04d}  state: {e.b:3d} ret: {e.c}",
    ev.STOP_QUEUE: lambda e: f"cpu={e.a} queued={e.b}",
    ev.STOP_DONE: lambda e: f"executed={e.a}",
}


def arguments(e: Event) -> str:
    """What stands behind the event's name."""
    form = FORMATS.get(e.id)
    return form(e) if form else f"a={e.a} b={e.b} c={e.c}"


def line(e: Event) -> str:
    """One event, as a line of ftrace text."""
    return (f"{e.who:>16}-{e.pid:<5} [{e.cpu:03d}] {e.ns // 1_000_000_000:>5}."
            f"{e.ns // 1000 % 1_000_000:06d}: {e.name}: {arguments(e)}")


def text(trace: Trace, tail: int = 0) -> str:
    """A whole trace, or its last ``tail`` events; how many events each CPU lost comes first."""
    lost = [f"# CPU {cpu}: {nr} events lost, oldest first\n"
            for cpu, nr in trace.lost.items() if nr]
    shown = trace.events[-tail:] if tail else trace.events
    return HEADER + "".join(lost) + "\n".join(map(line, shown)) + "\n"
