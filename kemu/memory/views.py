"""Views of what the hardware lays out: the header, a CPU, a task.

Every field is a :class:`kemu.native.Word` of the same name as in
``native/hardware/layout.h``, where the fields are grouped by the lock that guards them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kemu import native
from kemu.errors import UsageError
from kemu.memory import current_memory
from kemu.memory.struct import WORD, List, on_task_ref

LOCKS = frozenset({"pi_lock", "rq_lock", "call_lock", "timer_lock"})
NO_WORDS = frozenset({"sizeof", "rt_queue", "holds", "report"})


def words_of(layout: dict[str, int]) -> tuple[str, ...]:
    """The names of a layout's fields that are one word each."""
    return tuple(name for name in layout if name not in NO_WORDS)


def constant(word: native.Word) -> int:
    """A word that keeps its value as long as the caller may look at it.

    The read is not an operation that the gate sees: a process reads such a word once and keeps
    the value, and a controlled trial must have the same steps in a process that has read it before.
    """
    return int.from_bytes(word.memory.read(word.offset, WORD), "little")


class View:
    """Its fields are slots, and looked up without a hook: the kernel reads little else."""

    __slots__ = ("memory",)

    memory: native.Memory

    if TYPE_CHECKING:   # fields are set from the layout
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def _fill(self, memory: native.Memory, base: int, layout: dict[str, int]) -> None:
        self.memory = memory
        for name in words_of(layout):
            kind = native.SpinLock if name in LOCKS else native.Word
            setattr(self, name, kind(memory, base + layout[name]))


class Header(View):
    """The machine as a whole: masks, the gate, the panic word, the panic report."""

    __slots__ = words_of(native.HEADER)

    def __init__(self, memory: native.Memory) -> None:
        self._fill(memory, 0, native.HEADER)

    def write_report(self, report: bytes) -> None:
        """Store the panic report, of at most native.REPORT_SIZE bytes.  By the task that panics."""
        self.memory.write(native.HEADER["report"], report)
        self.report_len.store_release(len(report))

    def read_report(self) -> bytes:
        """The panic report; empty if there is none."""
        length = min(max(self.report_len.load_acquire(), 0), native.REPORT_SIZE)
        return self.memory.read(native.HEADER["report"], length)


class Cpu(View):
    """One emulated CPU and its runqueue (Linux: struct rq, and per-CPU hardware state)."""

    __slots__ = ("cpu", "lock", "fair", "timers", "calls", "rt", "queue", *words_of(native.CPU))

    def __init__(self, memory: native.Memory, cpu: int) -> None:
        if not 0 <= cpu < memory.nr_cpus:
            raise UsageError(f"CPU {cpu}: this machine has CPUs 0 to {memory.nr_cpus - 1}")
        base = memory.cpus + cpu * native.CPU["sizeof"]
        self._fill(memory, base, native.CPU)
        self.cpu: int = cpu
        self.lock: native.SpinLock = native.SpinLock(memory, base + native.CPU["rq_lock"])
        self.queue: native.RunQueue = native.RunQueue(memory, cpu)
        self.fair: List = List(memory, base + native.CPU["fair_next"])
        self.timers: List = List(memory, base + native.CPU["timer_next"])
        self.calls: List = List(memory, base + native.CPU["call_next"])
        queues = base + native.CPU["rt_queue"]
        self.rt: list[List] = [List(memory, queues + 16 * prio)
                               for prio in range(native.MAX_RT_PRIO)]

    def __repr__(self) -> str:
        return f"<cpu {self.cpu}>"


class Task(View):
    """A task (Linux: struct task_struct): a handle that means the same everywhere.

    A handle outlives its task; :meth:`alive` tells.  What users call with a task of theirs
    (kthread_park, unpark, stop, data, sched_setscheduler, set_cpus_allowed_ptr) refuses a
    handle whose slot has been given to another task; wake_up_process and the like do not
    look, as in Linux: hold a reference.
    """

    __slots__ = ("slot", "ref", "run_node", "wait_node", "timer_node", "birth", "kt",
                 *words_of(native.TASK))

    def __init__(self, memory: native.Memory, slot: int) -> None:
        base = memory.tasks + slot * native.TASK["sizeof"]
        self._fill(memory, base, native.TASK)
        self.slot: int = slot
        self.ref: int = slot + 1     # in a word that names a task; 0 there names none
        self.run_node: int = base + native.TASK["run_next"]
        self.wait_node: int = base + native.TASK["wait_next"]
        self.timer_node: int = base + native.TASK["timer_next"]
        self.birth: int = constant(self.generation)
        self.kt: Any = None     # this process's view of the kthread, once looked up

    def alive(self) -> bool:
        """Whether the slot still is this task's."""
        return bool(self.used.load()) and self.generation.load() == self.birth

    @property
    def comm(self) -> str:
        """The name, at most 15 bytes (Linux: TASK_COMM_LEN)."""
        raw = b"".join(part.load().to_bytes(8, "little", signed=True)
                       for part in (self.comm0, self.comm1))
        return raw.rstrip(b"\0").decode(errors="replace")

    def set_comm(self, name: str) -> None:
        self.comm0.store(comm_words(name)[0])
        self.comm1.store(comm_words(name)[1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and (self.slot, self.birth) == (other.slot, other.birth)

    def __hash__(self) -> int:
        return hash((self.slot, self.birth))

    def __repr__(self) -> str:
        return f"<task {self.comm} pid {self.pid.load()}>" if self.alive() else "<task, gone>"

    def __reduce__(self) -> tuple[Any, ...]:
        current_memory.may_travel(self.memory)
        return _resolve_here, (self.slot, self.birth)


def comm_words(name: str) -> tuple[int, int]:
    """A task's name as the two words that hold it: up to a NUL, and at most 15 bytes."""
    raw = name.encode(errors="replace").partition(b"\0")[0]
    raw = raw[:native.COMM_LEN - 1].ljust(native.COMM_LEN, b"\0")
    return (int.from_bytes(raw[:8], "little", signed=True),
            int.from_bytes(raw[8:], "little", signed=True))


class Tasks(native.Tasks[Task]):
    """All task slots of a memory.  A process has one view for each life of a slot."""

    def __new__(cls, memory: native.Memory) -> Tasks:
        return super().__new__(cls, memory, Task)

    def get(self, ref: int) -> Task | None:
        """The task that a word names (see Task.ref); None if it names none."""
        return self.at(ref - 1) if 0 < ref <= self.nr else None

    def used(self) -> list[Task]:
        """Every task there is.  Looks at the slots first, because most of them have no task."""
        return [self.at(slot) for slot, used in enumerate(task_column(self.memory, "used")) if used]


def task_column(memory: native.Memory, field: str) -> list[int]:
    """A field of every task slot, in the order of the slots, without a view of each."""
    size = native.TASK["sizeof"]
    table = memoryview(memory.read(memory.tasks, memory.nr_tasks * size)).cast("q")
    return table[native.TASK[field] // WORD::size // WORD].tolist()


def took_turns(memory: native.Memory) -> int:
    """How often tasks of one home ran at once on two host cores (kernel/sched/home.c)."""
    first, size = memory.cpus + native.CPU["took_turns"], native.CPU["sizeof"]
    return sum(native.Word(memory, first + cpu * size).load() for cpu in range(memory.nr_cpus))


_tables: dict[int, Tasks] = {}


def tasks_of(memory: native.Memory) -> Tasks:
    """The process's table of views for that memory."""
    table = _tables.get(memory.serial)
    if table is None or table.memory is not memory:
        table = _tables[memory.serial] = Tasks(memory)
    return table


def lock_of(task: Task) -> int:
    """The offset of the spinlock that the task queues for; 0 if it queues for none.

    The lowest bit of task.watching is the protocol's own (native/hardware/spinlock.c).
    """
    return int(task.watching.load()) & ~7 if task.watch_as.load() else 0


def forget(memory: native.Memory) -> None:
    """Drop this process's views of a memory, so that it can be unmapped."""
    _tables.pop(memory.serial, None)


def resolve_task(memory: native.Memory, slot: int, birth: int) -> Task:
    """The handle of the task that was in the slot in that life of it."""
    task = tasks_of(memory).at(slot)
    if task.birth == birth:
        return task
    gone = Task(memory, slot)           # a handle of a task that is gone stays one
    gone.birth = birth
    return gone


def _resolve_here(slot: int, birth: int) -> Task:
    return resolve_task(current_memory.get(), slot, birth)


on_task_ref(resolve_task)


def check_alive(task: Task) -> Task:
    """Return the task.  Raises UsageError if its slot was freed, or given to another task."""
    if not isinstance(task, Task):
        raise UsageError(f"a task is wanted, not {type(task).__name__}")
    if not task.alive():
        raise UsageError("the task is gone: its last reference was dropped")
    return task
