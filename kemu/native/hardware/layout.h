/*
 * layout.h - every word two processes can see.  Spelled once: Python reads the
 * offsets from the tables that python/module.c builds out of these lists.
 *
 * The memory is a memfd: a header, the CPUs, the tasks, the symbols, the trace
 * rings, the heap, the arena of published functions.  Each field is one 64-bit
 * word, so that a field is an offset and nothing can be torn.
 *
 * Fields stand in groups; the head of a group names the lock that guards it.
 */
#ifndef KEMU_LAYOUT_H
#define KEMU_LAYOUT_H

#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the futex half of a bell is its low half: little-endian only"
#endif

#define KEMU_MAGIC	0x756d656b31303030ULL
#define KEMU_MAX_CPUS	62		/* a cpumask is one word, and stays positive in Python */
#define KEMU_MAX_TASKS	65536
#define KEMU_MAX_CORES	65536		/* of the host */
#define KEMU_MAX_BYTES	(1ULL << 36)	/* of the heap, of the arena */
#define KEMU_MAX_RT_PRIO 100
#define KEMU_MAX_HOLDS	8
#define KEMU_NR_SYMBOLS	1024
#define KEMU_SYMBOL_NAME 120
#define KEMU_NR_EVENTS	8192		/* per CPU; a power of two */
#define KEMU_HEAP_CLASSES 17		/* 64 bytes ... 4 MiB */
#define KEMU_COMM_LEN	16
#define KEMU_REPORT_SIZE 65536

/* A freed task's state word: no waker's mask can match it. */
#define KEMU_POISON	(1ULL << 60)

/* header.gate: anything set here sends every native operation to gate.c. */
enum kemu_gate {
	GATE_PANIC	= 1 << 0,	/* the machine has stopped: no operation returns */
	GATE_TRACE	= 1 << 1,	/* trace points are recorded */
	GATE_OPS	= 1 << 2,	/* so is every operation on a word */
	GATE_HOLD	= 1 << 3,	/* a script holds tasks at points */
	GATE_JITTER	= 1 << 4,	/* random delays at points */
	GATE_JITTER_OPS	= 1 << 5,	/* and before every operation, which then takes what is due */
	GATE_QUIESCE	= 1 << 6,	/* the last CPU to go idle raises IPI_QUIESCENT */
	GATE_CONTROL	= 1 << 7,	/* reserved: a chooser decides every step */
	GATE_NO_POINTS	= 1 << 8,	/* a point is recorded, and does nothing else */
	GATE_LOCKDEP	= 1 << 9,	/* how each class of spinlock is taken is recorded (lockuse.c) */
};

/* cpu.ipi: interrupts pending at a CPU. */
enum kemu_ipi {
	IPI_CALL_FUNCTION = 1 << 0,	/* cpu.call_queue has work */
	IPI_MAILBOX	= 1 << 1,	/* the controller posted a function to run */
	IPI_QUIESCENT	= 1 << 2,	/* every task is blocked */
	IPI_INIT	= 1 << 3,	/* a CPU that plays dead is to come up */
};

/* How the locks of a class were taken: the value of the symbol that names the class. */
enum kemu_lock_use { LOCK_IN_HARDIRQ = 1 << 0, LOCK_HARDIRQS_ON = 1 << 1 };

/* What a bell says.  An OS thread sleeps on no other word. */
enum kemu_bell { BELL_QUIET, BELL_NOTIFIED, BELL_ASLEEP };

/* task.sched_class: a later one runs before an earlier one. */
enum kemu_class { CLASS_IDLE, CLASS_FAIR, CLASS_RT, CLASS_STOP };

/* task.state, as far as the hardware looks at it: kernel/sched/state.py has them all. */
enum kemu_state {
	TASK_RUNNING = 0, TASK_UNINTERRUPTIBLE = 2, TASK_NORMAL = 3, TASK_DEAD = 64,
	TASK_WAKING = 256,
};

/* task.flags, likewise */
#define PF_KTHREAD	0x200000

/* Events that are written from here; trace/events.py says what their words mean. */
enum kemu_event_id {
	EVENT_POINT = 1, EVENT_OP, EVENT_SCHED_SWITCH, EVENT_SCHED_WAKING, EVENT_SCHED_WAKEUP,
	EVENT_SCHED_MIGRATE_TASK = 7, EVENT_SCHED_WAIT_TASK,
};
#define EVENT_PREEMPTED	1024		/* in EVENT_SCHED_SWITCH's a */

/* cpu.idling */
enum kemu_idling { CPU_BUSY, CPU_IDLE, CPU_HELD };

/* Who holds what, by what means, and how it ended (hold.c). */
enum kemu_hold_kind {
	HOLD_STALL = 1,		/* its CPU stands still */
	HOLD_PREEMPTIBLE,	/* its CPU may run others */
	HOLD_LOCKED,		/* a stall that may come with a spinlock held */
};
enum kemu_hold_state {
	HOLD_ARMED = 1, HOLD_HELD,
	HOLD_PASSED,		/* the awaited point was passed */
	HOLD_WAITED_FOR,	/* another task came to wait for the held one */
	HOLD_ALL_BLOCKED,	/* nothing else could run */
};

#define KEMU_HEADER_FIELDS(F)						\
	F(magic) F(size) F(nr_cpus) F(nr_tasks) F(cpus) F(tasks)	\
	F(symbols) F(rings) F(heap) F(heap_end) F(arena) F(arena_end)	\
	/* any CPU */							\
	F(gate) F(watchers) F(panic) F(next_pid)					\
	F(possible_mask) F(present_mask) F(online_mask) F(active_mask)	\
	F(poll_max_ns) F(tick_ns) F(era) F(warn_is_allowed)		\
	/* jitter.c */							\
	F(jitter_max_ns) F(jitter_odds) F(jitter_seed)			\
	/* the lock of each allocator; never held across another */	\
	F(task_lock) F(task_hint)					\
	F(symbol_lock) F(nr_symbols)					\
	F(heap_lock) F(heap_brk)					\
	F(arena_lock) F(arena_brk) F(nr_published)			\
	/* written once, by the CPU that panics: after header.panic, before GATE_PANIC */	\
	F(report_len)

/*
 * L begins a line of the cache.  What one side polls lies apart from what the other writes
 * meanwhile, and what a wake-up touches lies together: to fetch a line that another core
 * has written costs as much as a call from Python.
 */
#define KEMU_CPU_FIELDS(F, L)						\
	/* set at boot */						\
	L(id) F(host_core) F(sharers) F(os_pid) F(idle)			\
	/* polled by an idle CPU; any CPU may set a bit or push; this CPU takes */ \
	L(need_resched) F(ipi) F(idler) F(idling) F(idled)		\
	F(births) F(mailbox) F(monitor_bell)				\
	/* this CPU only */						\
	L(irqs_off) F(poll_ns) F(next_event) F(ring_head) F(tick_at)	\
	/* rq_lock */							\
	L(rq_lock) F(nr_running) F(curr) F(stop) F(fair_next) F(fair_prev) \
	F(fair_nr) F(nr_switches)					\
	L(rt_nr) F(rt_bitmap0) F(rt_bitmap1)				\
	/* call_lock */							\
	F(call_lock) F(call_next) F(call_prev)				\
	/* the controller asks; the main thread of the CPU's process takes */ \
	F(tell_stacks)							\
	/* timer_lock */						\
	L(timer_lock) F(timer_next) F(timer_prev)

#define KEMU_TASK_FIELDS(F, L)						\
	/* set at birth, but for comm (exec) and home (rehome, exec) */	\
	L(generation) F(used) F(pid) F(comm0) F(comm1) F(home) F(fn)	\
	/* the kthread (kthread.py); zero for other tasks */		\
	F(kthread)							\
	/* as the first line, but written now and then */		\
	L(usage) F(arg) F(tid) F(host_core) F(birth_next)		\
	/* the task itself; readable after it is freed, until the slot is reused */ \
	F(ended) F(exit_code)						\
	/* the word the task's thread sleeps on, and the baton */	\
	L(bell) F(turn)							\
	/* the thread, while it waits for a word: watch.c, spinlock.c */ \
	F(watching) F(watch_as) F(watch_since) F(lost)			\
	/* the task itself */						\
	L(preempt_count) F(locks) F(prng) F(pace) F(pace_left) F(blocked_on) F(waits_for) F(waits_on) \
	/* pi_lock; without: state by the task itself, bits of flags by anybody */ \
	L(pi_lock) F(state) F(cpus_allowed) F(flags)			\
	/* pi_lock while waking, rq_lock while queued */		\
	F(cpu)								\
	/* rq_lock */							\
	F(on_rq) F(on_cpu) F(nvcsw)					\
	L(sched_class) F(policy) F(prio) F(run_next) F(run_prev) F(nivcsw) \
	/* the lock of the queue it waits in */				\
	F(wait_next) F(wait_prev)					\
	/* timer_lock of the CPU timer_cpu names */			\
	L(timer_next) F(timer_prev) F(timer_expires) F(timer_cpu)

#define KEMU_HOLD_FIELDS(F)						\
	F(state) F(kind) F(comm0) F(comm1) F(point)			\
	F(until_comm0) F(until_comm1) F(until_point) F(task) F(reached)

#define KEMU_COMPLETION_FIELDS(F)					\
	F(lock) F(done) F(waiters_next) F(waiters_prev)

#define KEMU_COMPLETE_ALL (1ULL << 40)	/* what complete_all() counts to */

#define KEMU_WORD(name) u64 name;
#define KEMU_LINE(name) u64 name __attribute__((aligned(64)));

struct kemu_completion { KEMU_COMPLETION_FIELDS(KEMU_WORD) };

struct kemu_hold { KEMU_HOLD_FIELDS(KEMU_WORD) };

struct kemu_header {
	KEMU_HEADER_FIELDS(KEMU_WORD)
	u64 heap_free[KEMU_HEAP_CLASSES];
	struct kemu_hold holds[KEMU_MAX_HOLDS];
	char report[KEMU_REPORT_SIZE];
};

struct kemu_cpu {
	KEMU_CPU_FIELDS(KEMU_WORD, KEMU_LINE)
	u64 rt_queue[KEMU_MAX_RT_PRIO][2];	/* rq_lock: a list head per priority */
};

struct kemu_task { KEMU_TASK_FIELDS(KEMU_WORD, KEMU_LINE) };

/* A name everybody agrees on: a point, a per-CPU variable, a task to script. */
struct kemu_symbol { u64 value; char name[KEMU_SYMBOL_NAME]; };

/* One trace event.  comm and pid are copied: the task may be gone when it is read. */
struct kemu_event {
	u64 ns, id, cpu;
	u64 pid, comm0, comm1;			/* who */
	u64 subject_pid, subject_comm0, subject_comm1;	/* to whom; zero if to nobody */
	u64 a, b, c;
};

#endif
