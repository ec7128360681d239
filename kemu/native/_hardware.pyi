"""Types of the C extension: what kemu.native offers.

An ``int`` argument is one 64-bit word: beyond its range is an OverflowError.  What
the memory does not have (an offset, a slot, a name) is a UsageError.  In a task of
a machine that has stopped, every operation on shared words raises MachineStopped, and
every wait.
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
        """A new memory; sizes in bytes."""
    @property
    def serial(self) -> int:
        """A number no other Memory of this process ever has: a key for caches."""
    @property
    def nr_cpus(self) -> int:
        """How many CPUs it has.  It and the rest of the shape are as the mapping checked them."""
    @property
    def nr_tasks(self) -> int:
        """How many task slots it has."""
    @property
    def cpus(self) -> int:
        """Where the CPUs begin, in bytes."""
    @property
    def tasks(self) -> int:
        """Where the task slots begin, in bytes."""
    @property
    def symbols(self) -> int:
        """Where the symbols begin, in bytes."""
    @property
    def size(self) -> int:
        """In bytes."""
    def fileno(self) -> int:
        """The memfd."""

    def task_alloc(self) -> int:
        """A free task slot, its generation counted up."""
    def task_free(self, slot: int, /) -> None:
        """Give it back; its state becomes POISON."""
    def symbol(self, name: str, /) -> int:
        """The offset of the word of that name."""
    def symbol_name(self, offset: int, /) -> str:
        """The name of the word at that offset."""
    def publish(self, data: bytes, /) -> int:
        """Bytes into the arena; returns their offset."""
    def published(self, offset: int, /) -> bytes:
        """The bytes published there."""
    def heap_alloc(self, size: int, /) -> int:
        """A zeroed block of the heap."""
    def heap_free(self, offset: int, /) -> None:
        """Free a block; a second time is an error."""
    def read(self, offset: int, length: int, /) -> bytes:
        """Bytes as they are now."""
    def write(self, offset: int, data: bytes, /) -> None:
        """Bytes into a block of the heap, or the report."""

    def list_add(self, head: int, node: int, /) -> None:
        """Caller holds the list's lock."""
    def list_add_tail(self, head: int, node: int, /) -> None:
        """Caller holds the list's lock."""
    def list_del(self, node: int, /) -> None:
        """list_del_init().  Caller holds the list's lock."""
    def list_next(self, node: int, /) -> int:
        """The node after it; the head itself if none."""

    def kick(self, cpu: int, /) -> None:
        """After a store to need_resched or ipi.  Full barrier."""
    def send_reschedule(self, cpu: int, /) -> None:
        """kick(), put off until the caller holds no spinlock."""
    def notify_monitor(self, cpu: int, /) -> None:
        """Wake the CPU process's main thread."""
    def wait_monitor(self, cpu: int, timeout_ns: int, /) -> None:
        """Sleep until rung, or for nothing: look at everything afterwards."""
    def notify_task(self, slot: int, /) -> None:
        """Wake the task's thread, to look at its turn."""
    def notify_all(self) -> None:
        """Ring every bell, after a panic."""
    def all_blocked(self) -> bool:
        """Whether no CPU has anything to do."""
    def end_hold_of(self, slot: int, /) -> None:
        """Let the task go if a script holds it."""
    def events(self, cpu: int, since: int, /) -> tuple[int, list[_Event]]:
        """The number of events ever, and those from number ``since`` that are left."""

class Word:
    """One 64-bit word that all CPUs share."""

    def __new__(cls, memory: Memory, offset: int, /) -> Word: ...
    @property
    def offset(self) -> int:
        """Where the word is in its memory, in bytes."""
    @property
    def memory(self) -> Memory:
        """The Memory it is in."""

    def load(self) -> int:
        """No ordering."""
    def load_acquire(self) -> int:
        """Read before all that follows."""
    def store(self, value: int, /) -> None:
        """No ordering."""
    def store_release(self, value: int, /) -> None:
        """Written after all that precedes."""
    def xchg(self, value: int, /) -> int:
        """Returns the old value.  Full barrier."""
    def cmpxchg(self, old: int, new: int, /) -> int:
        """Returns the old value.  Full barrier."""
    def add(self, value: int, /) -> int:
        """Returns the new value.  Full barrier."""
    def inc(self) -> None:
        """One more.  Not atomic: caller holds the word's lock.  No ordering."""
    def dec(self) -> None:
        """One less.  Not atomic: caller holds the word's lock.  No ordering."""
    def inc_not_zero(self) -> bool:
        """One more, unless it is zero or less; whether it was done.  Full barrier."""
    def fetch_or(self, mask: int, /) -> int:
        """Returns the old value.  Full barrier."""
    def fetch_and(self, mask: int, /) -> int:
        """Returns the old value.  Full barrier."""
    def test_bit(self, nr: int, /) -> bool:
        """No ordering."""
    def set_bit(self, nr: int, /) -> None:
        """Full barrier."""
    def clear_bit(self, nr: int, /) -> None:
        """Full barrier."""
    def test_and_set_bit(self, nr: int, /) -> bool:
        """What it was.  Full barrier."""
    def test_and_clear_bit(self, nr: int, /) -> bool:
        """What it was.  Full barrier."""
    def wait_while(self, value: int, slot: int = -1, /) -> int:
        """Wait until the word differs.  Acquire.  slot: the task that will change it."""
    def relax_while(self, value: int, /) -> None:
        """One step of a polling loop; ends when the word differs.  May switch tasks."""

@final
class SpinLock(Word):
    """A word that is a lock."""

    def __new__(cls, memory: Memory, offset: int, /, lock_class: str = "") -> SpinLock:
        """lock_class: what locks of its kind are called in reports; "" is not tracked."""
    def lock(self) -> None:
        """Take it; disables preemption.  Full barrier."""
    def unlock(self) -> None:
        """Free it (release); enables preemption.  May switch tasks."""
    def lock_irqsave(self) -> int:
        """Interrupts off, then lock().  Returns the flags."""
    def lock_irq(self) -> int:
        """Interrupts off, then lock()."""
    def unlock_irqrestore(self, flags: int, /) -> None:
        """unlock(), interrupts as they were."""
    def unlock_irq(self) -> None:
        """unlock(), interrupts on."""
    def is_held(self) -> bool:
        """Whether the current task holds it."""

@final
class List:
    """A list head: a circular list of offsets (Linux: include/linux/list.h).

    Two words of zero are an empty list.  Caller of every method holds the lock
    that guards the list.
    """

    def __new__(cls, memory: Memory, offset: int, /) -> List: ...
    @property
    def head(self) -> int:
        """Where the head is in its memory, in bytes."""
    @property
    def memory(self) -> Memory:
        """The Memory it is in."""
    def add(self, node: int, /) -> None:
        """In front of all others."""
    def add_tail(self, node: int, /) -> None:
        """Behind all others."""
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
        """Behind its equals.  False: of no queue's class."""
    def dequeue(self, slot: int, /) -> bool:
        """False: not queued as its class says."""
    def activate(self, slot: int, /) -> int:
        """enqueue(), and say so.  0, or BUG_..."""
    def deactivate(self, slot: int, /) -> int:
        """dequeue(), and say so.  0, or BUG_..."""
    def pick_next(self) -> int:
        """The slot of the best queued task, or of idle; or BUG_..."""
    def check_preempt(self, slot: int, /) -> None:
        """It was just queued: make the CPU look whether it should run instead."""
    def resched(self) -> None:
        """Make the CPU call schedule() soon."""
    def first(self) -> int:
        """The slot of the first of the most urgent queue, or -1."""

class Tasks(Generic[_View]):
    """A table of views, one for each life of a slot: factory(memory, slot)."""

    def __new__(cls, memory: Memory, factory: Callable[[Memory, int], _View], /) -> Self: ...
    @property
    def memory(self) -> Memory:
        """The Memory they are in."""
    @property
    def nr(self) -> int:
        """How many slots there are."""
    def at(self, slot: int, /) -> _View:
        """The task that is in the slot now."""
    def owning(self, node: int, /) -> _View:
        """The task that a list node is part of."""

# ---- what the calling thread does as a task ---------------------------------

def enter(memory: Memory, slot: int, view: object, /) -> None:
    """The calling thread becomes the task's; current() returns the view."""
def leave() -> None:
    """The calling thread is no task any more."""
def current() -> Any:
    """The view of the task that runs: in a machine, a kemu.memory.views.Task."""
def set_tasks(tasks: Tasks[Any], /) -> None:
    """The table in which current() finds swapper's view."""
def set_vectors(interrupt: Callable[[], object], reschedule: Callable[[], object], /) -> None:
    """Who is called when an interrupt or a reschedule is taken."""
def set_lock_vector(vector: Callable[[int, int, int], object], /) -> None:
    """While GATE_LOCKDEP is set, the hardware calls vector(class, use, before).

    It does so when the locks of a class are first taken in a new way.  class is the offset
    of the symbol that names the class; use and before are LOCK_ bits.
    """
def wait_turn() -> int:
    """Sleep until some CPU switches to this task; returns who ran there before."""
def schedule(preempt: bool, /) -> int:
    """Sleep, if the state says so, or let others run; preempt: the task is made to.

    0; one more than the slot of a dead task, to be freed; ENDS: the thread is no task's any
    more; or BUG_...  May switch tasks.
    """
def schedule_once() -> int:
    """schedule(False) for who has turned preemption off: one switch at most."""
def finish_switch(last: int, /) -> int:
    """What follows wait_turn(); returns as schedule() does."""
def try_to_wake_up(slot: int, mask: int, /) -> int:
    """Wake the task if its state is in the mask: whether it was; or BUG_..."""
def set_special_state(state: int, /) -> None:
    """Set the current task's state, under pi_lock."""
def look_inactive(slot: int, state: int, /) -> int:
    """Whether the task is off its CPU and every runqueue, in that state if it is not 0.

    Its count of voluntary switches; if not, minus LOOK_ bits that say why.
    """
def select_fallback(slot: int, /) -> int:
    """Some CPU for a task that cannot go where it should; may widen its mask; or BUG_...

    Caller holds its pi_lock or rq_lock.
    """
def complete(offset: int, /) -> int:
    """One event.  0, or BUG_..."""
def complete_all(offset: int, /) -> int:
    """Events for everybody, for good.  0, or BUG_..."""
def wait_for_completion(offset: int, deadline: int = ..., /) -> int | None:
    """Wait for an event and take it: 0.  None: the deadline has passed, and none has come.

    Any other number is one of schedule()'s, and the caller is to call again.  The deadline is
    of now_ns(); the caller sets a timer that wakes the task then.
    """
def task_rq_lock(slot: int, /) -> int:
    """Interrupts off, the task's pi_lock, then the rq_lock of its CPU.  Returns the flags."""
def usable_mask(slot: int, /) -> int:
    """The CPUs that the task may run on: online ones if it is a kernel thread, otherwise active ones."""
def program_event() -> None:
    """Set this CPU's next event.  Caller holds its timer_lock, interrupts off."""
def idle() -> int:
    """Idle until something is due; returns WHY_ bits."""
def smp_processor_id() -> int:
    """The CPU the task runs on."""
def preempt_count() -> int:
    """The current task's."""
def preempt_disable() -> None:
    """Nests."""
def preempt_enable() -> None:
    """May switch tasks."""
def preempt_enable_no_resched() -> None:
    """Does not switch tasks."""
def need_resched() -> bool:
    """Whether this CPU was asked to schedule()."""
def irqs_disabled() -> bool:
    """Whether this CPU takes no interrupts now."""
def local_irq_save() -> int:
    """Interrupts off; returns the flags."""
def local_irq_restore(flags: int, /) -> None:
    """May take an interrupt and switch tasks."""
def cpu_relax() -> None:
    """One step of a polling loop.  May switch tasks."""
def set_point_names(mapping: Mapping[str, int], /) -> None:
    """From a point's name to its symbol."""
def point(name_or_number: str | int, /) -> None:
    """A named point: traced, held, delayed as armed."""
def trace(event: int, slot: int, a: int | Word = 0, b: int | Word = 0, c: int | Word = 0,
          /) -> None:
    """An event into this CPU's ring, if tracing.  slot: whom it is about, or -1.

    A word given for a, b or c is read only then.
    """
def now_ns() -> int:
    """CLOCK_MONOTONIC, in nanoseconds."""
def getcpu() -> int:
    """The host core the thread is on."""
def smp_mb() -> None:
    """A full barrier."""
def die_with_parent() -> None:
    """SIGKILL when the parent's thread ends."""
def pin(tid: int, core: int, /) -> None:
    """Bind a host thread to a host core.  tid 0: the calling thread."""
def handover(core_a: int, core_b: int, n: int, budget_ns: int, sleeping: bool, /) -> list[int]:
    """Nanoseconds of up to n bare round trips of four hand-overs between two host cores.

    Two threads of the calling process do nothing else; n is at most 1,000,000.  They end early
    when budget_ns, at most 10 s, is over.  sleeping: they sleep in futexes instead of spinning.
    Raises UsageError for one core twice, OSError for a core that this process may not use.
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
MAX_PLANNED: Final[int]
NO_CHOICE: Final[int]
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
