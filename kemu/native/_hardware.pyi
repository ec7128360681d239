"""Types of the C extension: what kemu.native offers.

An ``int`` argument is one 64-bit word.  A number outside its range raises OverflowError.
An offset, a slot or a name that the memory does not have raises UsageError.  In a task of
a machine that has stopped, every operation on a shared word and every wait raises
MachineStopped.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Self, TypeVar, final

_View = TypeVar("_View")

# (ns, id, cpu, pid, comm, subject's pid or -1, subject's comm, a, b, c)
_Event = tuple[int, int, int, int, str, int, str, int, int, int]

@final
class Memory:
    """A machine's shared memory."""

    def __new__(cls, fd: int) -> Memory: ...
    @classmethod
    def create(cls, nr_cpus: int, nr_tasks: int, heap: int, arena: int, /) -> Memory:
        """Make a new memory.  heap and arena are sizes in bytes."""
    @property
    def serial(self) -> int:
        """A number that no other Memory of this process ever has: a key for caches."""
    @property
    def nr_cpus(self) -> int:
        """How many CPUs the memory has.

        This number and the properties below do not change, even if something overwrites the
        header: the process checked and copied them when it mapped the memory.
        """
    @property
    def nr_tasks(self) -> int:
        """How many task slots the memory has."""
    @property
    def cpus(self) -> int:
        """The offset of the CPUs, in bytes."""
    @property
    def tasks(self) -> int:
        """The offset of the task slots, in bytes."""
    @property
    def symbols(self) -> int:
        """The offset of the symbols, in bytes."""
    @property
    def size(self) -> int:
        """The size of the memory, in bytes."""
    def fileno(self) -> int:
        """The descriptor of the memfd."""

    def task_alloc(self) -> int:
        """Allocate a task slot.  Adds 1 to its generation; returns the slot."""
    def task_free(self, slot: int, /) -> None:
        """Free the slot.  Its state becomes POISON."""
    def symbol(self, name: str, /) -> int:
        """The offset of the word that has this name."""
    def symbol_name(self, offset: int, /) -> str:
        """The name of the word at that offset."""
    def publish(self, data: bytes, /) -> int:
        """Copy the bytes to the arena.  Returns their offset."""
    def published(self, offset: int, /) -> bytes:
        """The bytes that were published at that offset."""
    def heap_alloc(self, size: int, /) -> int:
        """Allocate a block of the heap.  It is zero.  Returns its offset."""
    def heap_free(self, offset: int, /) -> None:
        """Free a block.  To free it twice is an error."""
    def read(self, offset: int, length: int, /) -> bytes:
        """A copy of the bytes as they are now."""
    def write(self, offset: int, data: bytes, /) -> None:
        """Write the bytes to a block of the heap, or to the report."""

    def list_add(self, head: int, node: int, /) -> None:
        """Put the node in front of all others.  Caller holds the list's lock."""
    def list_add_tail(self, head: int, node: int, /) -> None:
        """Put the node behind all others.  Caller holds the list's lock."""
    def list_del(self, node: int, /) -> None:
        """Take the node off its list (list_del_init()).  Caller holds the list's lock."""
    def list_next(self, node: int, /) -> int:
        """The node after this one; after the last node comes the head."""

    def kick(self, cpu: int, /) -> None:
        """Make the CPU look at need_resched and ipi, which the caller has stored.  Full barrier."""
    def send_reschedule(self, cpu: int, /) -> None:
        """Kick the CPU as soon as the caller holds no spinlock."""
    def notify_monitor(self, cpu: int, /) -> None:
        """Wake the CPU process's main thread."""
    def wait_monitor(self, cpu: int, timeout_ns: int, /) -> None:
        """Sleep until the CPU's monitor bell rings.

        It may return for no reason, so the caller looks at everything that it serves.
        """
    def notify_task(self, slot: int, /) -> None:
        """Wake the task's thread, so that it looks at its turn."""
    def notify_all(self) -> None:
        """Ring every bell, after a panic."""
    def all_blocked(self) -> bool:
        """Whether no CPU has anything to do."""
    def end_hold_of(self, slot: int, /) -> None:
        """Let the task go if a script holds it."""
    def events(self, cpu: int, since: int, /) -> tuple[int, list[_Event]]:
        """How many events the CPU has ever written, and those from number ``since`` that are left."""

class Word:
    """One 64-bit word that all CPUs share."""

    def __new__(cls, memory: Memory, offset: int, /) -> Word: ...
    @property
    def offset(self) -> int:
        """The word's offset in its memory, in bytes."""
    @property
    def memory(self) -> Memory:
        """The Memory that the word is in."""

    def load(self) -> int:
        """Read the word.  No ordering."""
    def load_acquire(self) -> int:
        """Read the word, before all that follows."""
    def store(self, value: int, /) -> None:
        """Write the word.  No ordering."""
    def store_release(self, value: int, /) -> None:
        """Write the word, after all that precedes."""
    def xchg(self, value: int, /) -> int:
        """Write the word.  Returns the old value.  Full barrier."""
    def cmpxchg(self, old: int, new: int, /) -> int:
        """Write new if the word is old.  Returns the old value.  Full barrier."""
    def add(self, value: int, /) -> int:
        """Add to the word.  Returns the new value.  Full barrier."""
    def inc(self) -> None:
        """Add 1.  Not atomic: caller holds the word's lock.  No ordering."""
    def dec(self) -> None:
        """Subtract 1.  Not atomic: caller holds the word's lock.  No ordering."""
    def inc_not_zero(self) -> bool:
        """Add 1 if the word is above zero.  Returns whether it was.  Full barrier."""
    def fetch_or(self, mask: int, /) -> int:
        """Set the bits.  Returns the old value.  Full barrier."""
    def fetch_and(self, mask: int, /) -> int:
        """Clear the bits that the mask lacks.  Returns the old value.  Full barrier."""
    def test_bit(self, nr: int, /) -> bool:
        """Whether the bit is set.  No ordering."""
    def set_bit(self, nr: int, /) -> None:
        """Set the bit.  Full barrier."""
    def clear_bit(self, nr: int, /) -> None:
        """Clear the bit.  Full barrier."""
    def test_and_set_bit(self, nr: int, /) -> bool:
        """Set the bit.  Returns what it was.  Full barrier."""
    def test_and_clear_bit(self, nr: int, /) -> bool:
        """Clear the bit.  Returns what it was.  Full barrier."""
    def wait_while(self, value: int, slot: int = -1, /) -> int:
        """Wait until the word differs from value, and return the word.  Acquire.

        Takes interrupts and may switch tasks, where they are on.  slot: the task that will
        change the word.
        """
    def relax_while(self, value: int, /) -> None:
        """One step of a polling loop, as cpu_relax().  May switch tasks.

        It ends early when the word differs from value.
        """

@final
class SpinLock(Word):
    """A word that is a lock."""

    def __new__(cls, memory: Memory, offset: int, /, lock_class: str = "") -> SpinLock:
        """lock_class: the name that reports use for locks of this kind; "": do not track it."""
    def lock(self) -> None:
        """Take the lock.  Disables preemption.  Full barrier."""
    def unlock(self) -> None:
        """Free the lock (release).  Enables preemption.  May switch tasks."""
    def lock_irqsave(self) -> int:
        """Turn interrupts off, then lock().  Returns the flags."""
    def lock_irq(self) -> int:
        """Turn interrupts off, then lock()."""
    def unlock_irqrestore(self, flags: int, /) -> None:
        """unlock(), then set interrupts as the flags say.  May switch tasks."""
    def unlock_irq(self) -> None:
        """unlock(), then turn interrupts on.  May switch tasks."""
    def is_held(self) -> bool:
        """Whether the current task holds the lock."""

@final
class List:
    """A list head: a circular list of offsets (Linux: include/linux/list.h).

    Two words of zero are an empty list.  Caller of every method holds the lock
    that guards the list.
    """

    def __new__(cls, memory: Memory, offset: int, /) -> List: ...
    @property
    def head(self) -> int:
        """The head's offset in its memory, in bytes."""
    @property
    def memory(self) -> Memory:
        """The Memory that the list is in."""
    def add(self, node: int, /) -> None:
        """Put the node in front of all others."""
    def add_tail(self, node: int, /) -> None:
        """Put the node behind all others."""
    def first(self) -> int:
        """The first node's offset, or 0 if the list is empty."""
    def empty(self) -> bool:
        """Whether there is no node."""
    def nodes(self) -> list[int]:
        """All nodes, in order."""

@final
class RunQueue:
    """The queues of a CPU's fair and fifo tasks.

    Caller of every method holds the CPU's rq_lock.
    """

    def __new__(cls, memory: Memory, cpu: int, /) -> RunQueue: ...
    def enqueue(self, slot: int, /) -> bool:
        """Queue the task behind its equals.  False: its class has no queue."""
    def dequeue(self, slot: int, /) -> bool:
        """Take the task off its queue.  False: the queue of its class does not have it."""
    def activate(self, slot: int, /) -> int:
        """enqueue(), and set on_rq.  Returns 0 or BUG_..."""
    def deactivate(self, slot: int, /) -> int:
        """dequeue(), and clear on_rq.  Returns 0 or BUG_..."""
    def pick_next(self) -> int:
        """The slot of the most urgent queued task, or of the idle task; or BUG_..."""
    def check_preempt(self, slot: int, /) -> None:
        """The task was just queued: make the CPU call schedule() if it may have to switch."""
    def resched(self) -> None:
        """Make the CPU call schedule() soon."""
    def first(self) -> int:
        """The slot of the first task in the most urgent queue; -1: none is queued."""

class Tasks(Generic[_View]):
    """A table of views.  factory(memory, slot) makes one for each life of a slot."""

    def __new__(cls, memory: Memory, factory: Callable[[Memory, int], _View], /) -> Self: ...
    @property
    def memory(self) -> Memory:
        """The Memory that the tasks are in."""
    @property
    def nr(self) -> int:
        """How many slots the memory has."""
    def at(self, slot: int, /) -> _View:
        """The task that is in the slot now."""
    def owning(self, node: int, /) -> _View:
        """The task that a list node is part of."""

# ---- what the calling thread does as a task ---------------------------------

def enter(memory: Memory, slot: int, view: object, /) -> None:
    """The calling thread becomes the task's; current() returns the view."""
def leave() -> None:
    """The calling thread is not a task any more."""
def current() -> Any:
    """The view of the task that runs: in a machine, a kemu.memory.views.Task."""
def set_tasks(tasks: Tasks[Any], /) -> None:
    """The table in which current() finds swapper's view."""
def set_vectors(interrupt: Callable[[], object], reschedule: Callable[[], object], /) -> None:
    """Set what the CPU calls when it takes an interrupt, and when it takes a reschedule."""
def set_lock_vector(vector: Callable[[int, int, int], object], /) -> None:
    """While GATE_LOCKDEP is set, the hardware calls vector(class, use, before).

    It does so when a task first takes a lock of a class in a new way.  class is the offset
    of the symbol that names the class; use and before are LOCK_ bits.
    """
def wait_turn() -> int:
    """Sleep until a CPU switches to this task.  Returns the slot of the task before it."""
def schedule(preempt: bool, /) -> int:
    """Sleep if the task's state says so; otherwise let other tasks run.  May switch tasks.

    preempt: the task is preempted and does not sleep.  Returns 0; one more than the slot of a
    dead task, which the caller is to free; ENDS: the thread is not a task any more; or BUG_...
    """
def schedule_once() -> int:
    """schedule(False) for a caller that has turned preemption off: at most one switch."""
def finish_switch(last: int, /) -> int:
    """Finish a new task's first switch, after wait_turn().  Returns what schedule() returns."""
def try_to_wake_up(slot: int, mask: int, /) -> int:
    """Wake the task if its state is in the mask.  Returns whether it was; or BUG_..."""
def set_special_state(state: int, /) -> None:
    """Set the state of the current task, under its pi_lock."""
def look_inactive(slot: int, state: int, /) -> int:
    """Whether the task is off its CPU and on no runqueue, and in that state if it is not 0.

    Yes: its count of voluntary switches.  No: minus the LOOK_ bits that say why.
    """
def select_fallback(slot: int, /) -> int:
    """Some CPU for a task that cannot go where it should; or BUG_...  May widen its mask.

    Caller holds its pi_lock or rq_lock.
    """
def complete(offset: int, /) -> int:
    """Add one event to the completion.  Returns 0 or BUG_..."""
def complete_all(offset: int, /) -> int:
    """Add events for all tasks, now and later.  Returns 0 or BUG_..."""
def wait_for_completion(offset: int, deadline: int = ..., /) -> int | None:
    """Wait for an event and take it.

    Returns 0; or None, if the deadline has passed and no event has come.  Any other number is
    a result of schedule(): the caller handles it and calls again.  The deadline is a time of
    now_ns(); the caller sets a timer that wakes the task at that time.
    """
def task_rq_lock(slot: int, /) -> int:
    """Turn interrupts off, take the task's pi_lock, then the rq_lock of its CPU.

    Returns the flags.
    """
def usable_mask(slot: int, /) -> int:
    """The CPUs that the task may run on: online ones for a kernel thread, otherwise active ones."""
def program_event() -> None:
    """Set this CPU's next event.  Caller holds its timer_lock, with interrupts off."""
def idle() -> int:
    """Idle until something is due; returns WHY_ bits."""
def smp_processor_id() -> int:
    """The CPU that the task runs on."""
def preempt_count() -> int:
    """The preempt_count of the current task."""
def preempt_disable() -> None:
    """Turn preemption off.  Calls nest."""
def preempt_enable() -> None:
    """Undo one preempt_disable().  May switch tasks."""
def preempt_enable_no_resched() -> None:
    """Undo one preempt_disable().  Does not switch tasks."""
def need_resched() -> bool:
    """Whether this CPU must call schedule()."""
def is_controlled() -> bool:
    """Whether a chooser decides each step of this machine."""

def irqs_disabled() -> bool:
    """Whether interrupts are off on this CPU."""
def local_irq_save() -> int:
    """Turn interrupts off.  Returns the flags for local_irq_restore()."""
def local_irq_restore(flags: int, /) -> None:
    """Turn interrupts on if the flags say so.  May take an interrupt and switch tasks."""
def cpu_relax() -> None:
    """One step of a polling loop.  May switch tasks."""
def set_point_names(mapping: Mapping[str, int], /) -> None:
    """Set the mapping from a point's name to its symbol."""
def point(name_or_number: str | int, /) -> None:
    """Pass a named point.  It does what is armed: a trace event, a hold, a delay."""
def trace(event: int, slot: int, a: int | Word = 0, b: int | Word = 0, c: int | Word = 0,
          /) -> None:
    """Write an event to this CPU's ring, if tracing is on.

    slot: the task that the event is about; -1: none.  Reads a word given for a, b or c only
    if tracing is on.
    """
def now_ns() -> int:
    """CLOCK_MONOTONIC, in nanoseconds; under GATE_CONTROL the chooser's clock."""
def getcpu() -> int:
    """The host core that the thread runs on."""
def smp_wmb() -> None:
    """A barrier between the stores before it and those after it."""
def smp_rmb() -> None:
    """A barrier between the loads before it and those after it."""
def smp_mb() -> None:
    """A full barrier."""
def die_with_parent() -> None:
    """Have the host send SIGKILL when the parent's thread ends."""
def pin(tid: int, core: int, /) -> None:
    """Bind a host thread to a host core.  tid 0: the calling thread."""
def handover(core_a: int, core_b: int, n: int, budget_ns: int, sleeping: bool, /) -> list[int]:
    """Time up to n bare round trips between two host cores, four hand-overs each.

    Returns a list of nanoseconds.  n is at most 1,000,000.  Two new threads of the calling
    process make the round trips.  They end early when budget_ns, at most 10 s, is over.
    sleeping: they sleep in futexes; otherwise they spin.  Raises UsageError if both cores are
    the same, OSError for a core that this process may not use.
    """

# ---- layout.h ---------------------------------------------------------------

HEADER: Final[dict[str, int]]   # the offset of a field in its structure
CPU: Final[dict[str, int]]
TASK: Final[dict[str, int]]
HOLD: Final[dict[str, int]]
COMPLETION: Final[dict[str, int]]
CHOOSER: Final[dict[str, int]]
STEP: Final[dict[str, int]]

MAX_CPUS: Final[int]
MAX_TASKS: Final[int]
MAX_RT_PRIO: Final[int]
MAX_HOLDS: Final[int]
NR_EVENTS: Final[int]
REPORT_SIZE: Final[int]
COMM_LEN: Final[int]
POISON: Final[int]
NEVER: Final[int]
TURN_REHOME: Final[int]
NR_SYMBOLS: Final[int]
SYMBOL_NAME: Final[int]
GATE_PANIC: Final[int]
GATE_TRACE: Final[int]
GATE_OPS: Final[int]
GATE_HOLD: Final[int]
GATE_JITTER: Final[int]
GATE_JITTER_OPS: Final[int]
GATE_QUIESCE: Final[int]
GATE_NO_POINTS: Final[int]
GATE_LOCKDEP: Final[int]
LOCK_IN_HARDIRQ: Final[int]
LOCK_HARDIRQS_ON: Final[int]
IPI_CALL_FUNCTION: Final[int]
IPI_MAILBOX: Final[int]
IPI_QUIESCENT: Final[int]
IPI_INIT: Final[int]
CPU_BUSY: Final[int]
CPU_IDLE: Final[int]
CPU_HELD: Final[int]
HOLD_STALL: Final[int]
HOLD_PREEMPTIBLE: Final[int]
HOLD_LOCKED: Final[int]
HOLD_ARMED: Final[int]
HOLD_HELD: Final[int]
HOLD_PASSED: Final[int]
HOLD_WAITED_FOR: Final[int]
HOLD_ALL_BLOCKED: Final[int]
CLASS_IDLE: Final[int]
CLASS_FAIR: Final[int]
CLASS_RT: Final[int]
CLASS_STOP: Final[int]
BASE_MEMORY: Final[int]
BASE_TASK: Final[int]
BASE_KTHREAD: Final[int]
COUNTS: Final[int]
COUNTS_FROM_OWN_START: Final[int]
COUNTS_FROM_ANY_START: Final[int]
WHY_RESCHED: Final[int]
WHY_IRQ: Final[int]
WHY_TURN: Final[int]
TASK_RUNNING: Final[int]
TASK_UNINTERRUPTIBLE: Final[int]
TASK_NORMAL: Final[int]
COMPLETE_ALL: Final[int]
TASK_DEAD: Final[int]
TASK_WAKING: Final[int]
TASK_PARKED: Final[int]
PF_EXITING: Final[int]
PF_KTHREAD: Final[int]
PF_REBORN: Final[int]
EVENT_POINT: Final[int]
EVENT_OP: Final[int]
EVENT_SCHED_SWITCH: Final[int]
EVENT_SCHED_WAKING: Final[int]
EVENT_SCHED_WAKEUP: Final[int]
EVENT_SCHED_MIGRATE_TASK: Final[int]
EVENT_SCHED_WAIT_TASK: Final[int]
LOOK_RUNNING: Final[int]
LOOK_QUEUED: Final[int]
LOOK_OTHER_STATE: Final[int]
EVENT_PREEMPTED: Final[int]
ENDS: Final[int]
BUG_CPU: Final[int]
BUG_DEAD_CPU: Final[int]
BUG_CLASS: Final[int]
BUG_QUEUE: Final[int]
BUG_COUNT: Final[int]
BUG_SLEEPS: Final[int]
BUG_ATOMIC: Final[int]
BUG_GONE: Final[int]
BUG_NOWHERE: Final[int]
BUG_ITSELF: Final[int]
GATE_CONTROL: Final[int]
MAX_SKIPS: Final[int]
MAX_CHANGES: Final[int]
FAIR_AFTER: Final[int]
MAX_PLANNED: Final[int]
NO_CHOICE: Final[int]
ALT_CPU: Final[int]
ALT_IRQ: Final[int]
ALT_DRAIN: Final[int]
ALT_VALUE: Final[int]
MAX_VALUES: Final[int]
STEP_READS: Final[int]
STEP_WRITES: Final[int]
STEP_IRQS_ON: Final[int]
STEP_PREEMPTIBLE: Final[int]
CHOOSE_IRQS: Final[int]
CHOOSE_TICKS: Final[int]
RULE_STAY: Final[int]
RULE_RANDOM: Final[int]
RULE_PCT: Final[int]
OUTCOME_RUNS: Final[int]
OUTCOME_QUIET: Final[int]
OUTCOME_DEADLOCK: Final[int]
OUTCOME_TOO_LONG: Final[int]
OP_LOAD: Final[int]
OP_STORE: Final[int]
OP_XCHG: Final[int]
OP_CMPXCHG: Final[int]
OP_ADD: Final[int]
OP_OR: Final[int]
OP_AND: Final[int]
OP_WAIT: Final[int]
OP_LOCK: Final[int]
OP_UNLOCK: Final[int]
OP_POINT: Final[int]
OP_START: Final[int]
OP_RELAX: Final[int]
OP_IDLE: Final[int]
OP_IRQ: Final[int]
OP_TURN: Final[int]
OP_FENCE: Final[int]
OP_DRAIN: Final[int]
OP_PICK: Final[int]
WAY_PLAIN: Final[int]
WAY_LATE: Final[int]
WAY_OLDER: Final[int]
WAY_OWN: Final[int]
MEMORY_SC: Final[int]
MEMORY_TSO: Final[int]
MEMORY_WEAK: Final[int]
