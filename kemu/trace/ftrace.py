"""Events as text, in the form of the kernel's ftrace.

Linux: kernel/trace/trace.c and include/trace/events/{sched,cpuhp}.h.  A line has the form that
ftrace prints with the option irq-info off.  The sched events have the fields of Linux 4.3, where
sched_waking came, and the state letters of Linux 3.9.  sched_wakeup has no ``success=`` there:
Linux 3.6 still printed it before target_cpu, the kernel that kemu follows (4.13) does not.  The
cpuhp events are those of 4.13, where cpuhp_exit prints the state that the CPU is in, and then the
step that ran.  Linux 2.6.6 had no trace events: a machine of that kernel prints the same forms.
Left out: the priority in sched_process_exit; in cpuhp_enter the step's function.

Linux has no tracepoints for points, operations, parking, binding, panics and stoppers.  kemu
prints each of these under a name of its own, from the table in events.  They are not
tracing_mark_write events.

Readers: Perfetto opens the text as a systrace.  It draws sched_switch and sched_waking, and skips
the events that it does not know, so it draws no point.  trace-cmd cannot read the text, because
it reads binary trace.dat files only.
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
    ev.CPUHP_EXIT: lambda e: (f" cpu: {e.a:04d}  state: {e.b % ev.STEP:3d} "
                              f"step: {e.b // ev.STEP:3d} ret: {e.c}"),
    ev.STOP_QUEUE: lambda e: f"cpu={e.a} queued={e.b}",
    ev.STOP_DONE: lambda e: f"executed={e.a}",
}


def arguments(e: Event) -> str:
    """What follows the event's name on its line."""
    form = FORMATS.get(e.id)
    return form(e) if form else f"a={e.a} b={e.b} c={e.c}"


def line(e: Event) -> str:
    """One event, as a line of ftrace text."""
    return (f"{e.who:>16}-{e.pid:<5} [{e.cpu:03d}] {e.ns // 1_000_000_000:>5}."
            f"{e.ns // 1000 % 1_000_000:06d}: {e.name}: {arguments(e)}")


def text(trace: Trace, tail: int = 0) -> str:
    """A whole trace, or its last ``tail`` events.

    Comment lines come first: ftrace's header, then how many events each CPU lost.
    """
    lost = [f"# CPU {cpu}: {nr} events lost, oldest first\n"
            for cpu, nr in trace.lost.items() if nr]
    shown = trace.events[-tail:] if tail else trace.events
    return HEADER + "".join(lost) + "\n".join(map(line, shown)) + "\n"
