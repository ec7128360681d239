/*
 * layout.h - the words of shared memory: every field has its line here, and only here.
 *
 * The memory is a memfd.  It holds, in this order: the header, the CPUs, the tasks, the
 * symbols, the trace rings, the heap, the arena of published functions.  Each field is one
 * 64-bit word, so a load or a store of it is never torn.
 *
 * The fields stand in groups.  The line above a group names the lock that guards it, or the
 * CPU or task that writes it.  Python reads the offsets from tables that python/module.c
 * builds out of these lists.
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

/* The state of a freed task: no waker's mask matches it. */
#define KEMU_POISON	(1ULL << 60)

/* header.gate: if any bit is set, every operation calls kemu_gate() first. */
enum kemu_gate {
	GATE_PANIC	= 1 << 0,	/* the machine has stopped: no operation succeeds */
	GATE_TRACE	= 1 << 1,	/* trace points are recorded */
	GATE_OPS	= 1 << 2,	/* every operation on a word is recorded */
	GATE_HOLD	= 1 << 3,	/* a script holds tasks at points and operations */
	GATE_JITTER	= 1 << 4,	/* random delays at points */
	GATE_JITTER_OPS	= 1 << 5,	/* and before every operation, which takes what is due */
	GATE_QUIESCE	= 1 << 6,	/* the last CPU to go idle raises IPI_QUIESCENT */
	GATE_CONTROL	= 1 << 7,	/* a chooser decides every step (chooser.c) */
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

/* The states of a bell (bell.c).  A thread sleeps on its own bell and on no other word. */
enum kemu_bell { BELL_QUIET, BELL_NOTIFIED, BELL_ASLEEP };

/* task.sched_class: a task of a later class runs before a task of an earlier one. */
enum kemu_class { CLASS_IDLE, CLASS_FAIR, CLASS_RT, CLASS_STOP };

/* task.state: the bits that C code uses.  kernel/sched/state.py has all of them. */
enum kemu_state {
	TASK_RUNNING = 0, TASK_UNINTERRUPTIBLE = 2, TASK_NORMAL = 3, TASK_DEAD = 64,
	TASK_WAKING = 256, TASK_PARKED = 512,
};

/* task.flags: the bits that C code uses. */
#define PF_EXITING	0x4
#define PF_KTHREAD	0x200000
#define PF_REBORN	0x80000000	/* its thread ends, and the task begins again in a new one */

/* The events that C code writes.  trace/events.py says what their words mean. */
enum kemu_event_id {
	EVENT_POINT = 1, EVENT_OP, EVENT_SCHED_SWITCH, EVENT_SCHED_WAKING, EVENT_SCHED_WAKEUP,
	EVENT_SCHED_MIGRATE_TASK = 7, EVENT_SCHED_WAIT_TASK,
};
#define EVENT_PREEMPTED	1024		/* in EVENT_SCHED_SWITCH's a */

/* cpu.idling */
enum kemu_idling { CPU_BUSY, CPU_IDLE, CPU_HELD };

/* A hold: its kind, and its state (hold.c). */
enum kemu_hold_kind {
	HOLD_STALL = 1,		/* the CPU of the held task stands still */
	HOLD_PREEMPTIBLE,	/* the CPU may run other tasks */
	HOLD_LOCKED,		/* as HOLD_STALL, and the task may hold spinlocks */
};
enum kemu_hold_state {
	HOLD_ARMED = 1, HOLD_HELD,
	HOLD_PASSED,		/* the awaited point was passed */
	HOLD_WAITED_FOR,	/* another task came to wait for the held one */
	HOLD_ALL_BLOCKED,	/* nothing else could run */
};

/* A place of a hold: what its word is counted from, and when its passes begin to count (hold.c). */
enum kemu_base {
	BASE_MEMORY,		/* the word has this offset */
	BASE_TASK,		/* it is this far in the struct kemu_task of the owner */
	BASE_KTHREAD,		/* it is this far in the struct kthread of the owner */
};
enum kemu_counts {
	COUNTS,			/* every pass counts */
	COUNTS_FROM_OWN_START,	/* those count that come after the task has passed the start point */
	COUNTS_FROM_ANY_START,	/* those count that come after a task has passed it */
};

#define KEMU_HEADER_FIELDS(F)									\
	/* Written by kemu_format(), before any other process maps the memory; then constant. */ \
	F(magic)		/* KEMU_MAGIC, once the memory is formatted */			\
	F(size)			/* of the memory, in bytes */					\
	F(nr_cpus)		/* how many struct kemu_cpu */					\
	F(nr_tasks)		/* how many struct kemu_task */					\
	F(cpus)			/* the offset of the CPUs */					\
	F(tasks)		/* the offset of the task slots */				\
	F(symbols)		/* the offset of the symbol table */				\
	F(rings)		/* the offset of the trace rings */				\
	F(heap)			/* the offset of the heap */					\
	F(heap_end)		/* where the heap ends */					\
	F(arena)		/* the offset of the arena of published functions */		\
	F(arena_end)		/* where the arena ends */					\
	/* Any CPU changes these, atomically. */						\
	F(gate)			/* a set of enum kemu_gate */					\
	F(watchers)		/* a bit for each CPU where a thread awaits a change (watch.c) */	\
	F(panic)		/* why the machine stopped (kernel/panic.py); 0 while it runs */ \
	F(next_pid)		/* the pid of the next task */					\
	/* cpumasks: kernel/hotplug changes them under its own lock, any CPU reads them. */	\
	F(possible_mask)	/* the CPUs that the machine has */				\
	F(present_mask)		/* the CPUs that can be brought up */				\
	F(online_mask)		/* the CPUs that run tasks */					\
	F(active_mask)		/* the CPUs that take tasks which are not bound to them */	\
	/* Written by the controller, before the CPUs start. */					\
	F(poll_max_ns)		/* how long an idle CPU polls at most before it sleeps */	\
	F(tick_ns)		/* the length of a tick */					\
	F(era)			/* which Linux the machine runs (kernel/own/version.py) */	\
	F(warn_is_allowed)	/* 1: WARN() prints and goes on; 0: it stops the machine */	\
	/* Written by the controller, before it sets GATE_JITTER (jitter.c). */			\
	F(jitter_max_ns)	/* the longest delay */						\
	F(jitter_odds)		/* one point or operation in so many is delayed */		\
	F(jitter_seed)		/* the seed of the delays */					\
	/* chooser.c says which CPU writes these. */							\
	F(baton)		/* 1 + the CPU that may go on, under GATE_CONTROL */		\
	F(clock_ns)		/* the time that tasks see, under GATE_CONTROL */		\
	F(chooser)		/* the offset of the struct kemu_chooser; 0: none */		\
	/* Each allocator has a raw lock.  No CPU holds two of them. */				\
	F(task_lock)		/* guards the free task slots */				\
	F(task_hint)		/* the slot where the next search begins */			\
	F(symbol_lock)		/* guards new symbols */					\
	F(nr_symbols)		/* how many symbols there are; read without the lock (acquire) */ \
	F(heap_lock)		/* guards the free lists of the heap */				\
	F(heap_brk)		/* the offset of the first byte that was never allocated */	\
	F(heap_blocks)		/* how many blocks of the heap are in use */			\
	F(arena_lock)		/* guards the arena */						\
	F(arena_brk)		/* the offset of the first byte that is free */			\
	F(nr_published)		/* how many functions the arena holds */			\
	/* Written once, by the task that panics: after panic, before GATE_PANIC. */		\
	F(report_len)		/* the length of the report, in bytes */

/*
 * L begins a cache line.  What one CPU polls lies apart from what another CPU writes meanwhile,
 * and what a wake-up touches lies together: a CPU that fetches a line which another core has
 * written waits as long as a call from Python takes.
 */
#define KEMU_CPU_FIELDS(F, L)									\
	/* Written at boot, then constant. */							\
	L(id)			/* the CPU's number */						\
	F(host_core)		/* the host core that its threads are pinned to */		\
	F(sharers)		/* how many CPUs of the machine are on that core */		\
	F(os_pid)		/* the process id on the host */				\
	F(idle)			/* the slot of its idle task */					\
	/* Any CPU sets these; this CPU polls and clears them while it idles. */		\
	L(need_resched)		/* 1: the CPU must call schedule() */				\
	F(ipi)			/* the pending interrupts, a set of enum kemu_ipi */		\
	F(idler)		/* 1 + the slot of the task whose thread idles, watches or is held here; 0: none */ \
	F(idling)		/* an enum kemu_idling, by this CPU */				\
	F(idled)		/* how often this CPU has gone idle, by this CPU */		\
	F(births)		/* a stack of tasks whose threads its process is to start: 1 + a slot; 0: empty */ \
	F(mailbox)		/* a stack of requests of the controller (machine/request.py); 0: empty */ \
	F(monitor_bell)		/* the bell of the process's main thread */			\
	/* This CPU only. */									\
	L(irqs_off)		/* 1: interrupts are off */					\
	F(poll_ns)		/* how long it polls before it sleeps, at present */		\
	F(next_event)		/* when the next timer or tick is due, in ns; KEMU_NEVER: none */ \
	F(ring_head)		/* how many trace events it has ever written */			\
	F(tick_at)		/* when the tick is due, in ns; 0: no tick */			\
	F(slice_of)		/* 1 + the slot of the fair task whose slice the tick ends */	\
	F(took_turns)		/* how often tasks here and elsewhere shared an interpreter (home.c) */ \
	/* Guarded by rq_lock. */								\
	L(rq_lock)		/* 0, or 1 + the slot of its owner */				\
	F(nr_running)		/* how many tasks are queued */					\
	F(curr)			/* the slot of the task that runs here */			\
	F(stop)			/* 1 + the slot of the stop class's only task; 0: none */	\
	F(fair_next)		/* the list of fair tasks */					\
	F(fair_prev)		/* its other end */						\
	F(fair_nr)		/* how many fair tasks are queued */				\
	F(nr_switches)		/* how often the CPU has switched tasks */			\
	L(rt_nr)		/* how many fifo tasks are queued */				\
	F(rt_bitmap0)		/* a bit for each priority from 0 whose queue is not empty */	\
	F(rt_bitmap1)		/* a bit for each priority from 50 */				\
	/* Guarded by call_lock. */								\
	F(call_lock)		/* 0, or 1 + the slot of its owner */				\
	F(call_next)		/* the list of function calls to run here */			\
	F(call_prev)		/* its other end */						\
	/* The controller sets it; the main thread of this CPU's process clears it. */		\
	F(tell_stacks)		/* the number of a request for all Python stacks; 0: none */	\
	/* Any CPU changes these, atomically (kernel/sched/home.c, kernel/fork.py). */		\
	F(away)			/* how many tasks whose home this CPU is run elsewhere */	\
	F(homes)		/* how many tasks have this CPU as their home, swapper apart */	\
	/* Guarded by timer_lock. */								\
	L(timer_lock)		/* 0, or 1 + the slot of its owner */				\
	F(timer_next)		/* the list of timers that are set on this CPU */		\
	F(timer_prev)		/* its other end */						\
	/* Written by this CPU while it has the baton: the step that it is about to do (chooser.c). */ \
	L(want)			/* an enum kemu_op; 0: it has announced nothing */		\
	F(want_word)		/* the offset of the word */					\
	F(want_value)		/* a wait ends when the word differs from this; see enabled.c */ \
	F(want_flags)		/* STEP_IRQS_ON, STEP_PREEMPTIBLE: what the CPU may take before the step */ \
	F(want_task)		/* the slot of the task */					\
	F(want_thread)		/* the slot of the thread that does the step */

#define KEMU_TASK_FIELDS(F, L)									\
	/* Written at birth; exec changes comm, and exec and rehome() change home. */		\
	L(generation)		/* how many tasks have had the slot */				\
	F(used)			/* 1: a task has the slot */					\
	F(pid)			/* its process id */						\
	F(comm0)		/* its name, bytes 0 to 7 */					\
	F(comm1)		/* its name, bytes 8 to 15 */					\
	F(home)			/* the CPU in whose process its thread lives */			\
	F(fn)			/* the offset of its entry function in the arena */		\
	/* Written by kthread.py. */								\
	F(kthread)		/* the offset of its struct kthread; 0: not a kernel thread */	\
	/* Written at birth, and now and then. */						\
	L(usage)		/* references: the scheduler's, and one for each get_task_struct() */ \
	F(arg)			/* what its entry function is called with */			\
	F(tid)			/* the host's number of its thread; 0: the thread has not started */ \
	F(host_core)		/* 1 + the host core that its thread is pinned to; by the CPU that runs it */ \
	F(birth_next)		/* the next task in its home's stack of births */		\
	/* Written by the task itself; readable until the slot is used again. */		\
	F(ended)		/* 1: its function has returned, and no task may park it any more */ \
	F(exit_code)		/* what its function returned */				\
	/* The thread sleeps on bell; the CPU that switches to the task writes turn. */		\
	L(bell)			/* an enum kemu_bell */						\
	F(turn)			/* 1 + the slot of the task that ran before; 0: it is not this task's turn */ \
	F(stands_in)		/* 1: the thread may be running as swapper; by the thread (cpu.c) */ \
	/* Written by the thread while it waits for a word to change (watch.c, spinlock.c). */	\
	F(watching)		/* the offset of the word; 0: none */				\
	F(watch_as)		/* the owner that the lock is to have; 0: the word is not a lock */ \
	F(watch_since)		/* when the wait began, in ns */				\
	F(lost)			/* how often the thread found the lock taken again */		\
	/* Written by the task itself. */							\
	L(preempt_count)	/* how often preemption was turned off; + KEMU_HARDIRQ_OFFSET in an interrupt */ \
	F(locks)		/* how many spinlocks it holds */				\
	F(prng)			/* the state of its random numbers (jitter.c) */		\
	F(pace)			/* how likely a delay is at present (jitter.c) */		\
	F(pace_left)		/* how many more operations keep that pace */			\
	F(unexplored)		/* 1: between its point "done" and its point "start" (chooser.c) */ \
	F(blocked_on)		/* the offset of the completion that it waits for; 0: none */	\
	F(waits_for)		/* 1 + the slot of the task that it waits for; 0: none (kernel/own/hung.py) */ \
	F(waits_on)		/* the offset of the word that names the owner of what it waits for; 0: none */ \
	/* Guarded by pi_lock, except that the task sets its own state without it. */		\
	L(pi_lock)		/* 0, or 1 + the slot of its owner */				\
	F(state)		/* a set of TASK_ bits; 0: running */				\
	F(cpus_allowed)		/* the CPUs that it may run on */				\
	F(flags)		/* a set of PF_ bits; any task may set its bits, atomically */	\
	/* Guarded by pi_lock while the task is being woken, by rq_lock while it is queued. */	\
	F(cpu)			/* the CPU that it runs on, or ran on last */			\
	/* Guarded by rq_lock. */								\
	F(on_rq)		/* 1: it is on a runqueue */					\
	F(on_cpu)		/* 1: a CPU runs it, or is still switching away from it */	\
	F(nvcsw)		/* how often it went to sleep */				\
	L(sched_class)		/* an enum kemu_class */					\
	F(policy)		/* its scheduling policy */					\
	F(prio)			/* its priority; a lower number is more urgent */		\
	F(run_next)		/* its place in a runqueue */					\
	F(run_prev)		/* the other direction */					\
	F(nivcsw)		/* how often it was preempted */				\
	/* Guarded by the lock of the queue that the task waits in. */				\
	F(wait_next)		/* its place in a wait queue */					\
	F(wait_prev)		/* the other direction */					\
	/* Guarded by the timer_lock of the CPU that timer_cpu names. */			\
	L(timer_next)		/* its place in the list of timers */				\
	F(timer_prev)		/* the other direction */					\
	F(timer_expires)	/* when its timer is due, in ns */				\
	F(timer_cpu)		/* the CPU where its timer was last set */

/*
 * Where a task is held, or what ends a hold: a task comes to a named point, or is about to do an
 * operation on a word.  hold.c says how a pass is counted.
 */
#define KEMU_PLACE_FIELDS(F, p)									\
	/* Written by the script, before it arms the hold. */					\
	F(p##comm0)		/* the name of the task, bytes 0 to 7; 0: any task */		\
	F(p##comm1)		/* bytes 8 to 15 */						\
	F(p##op)		/* an enum kemu_op; OP_POINT: a named point */			\
	F(p##base)		/* an enum kemu_base: what word is counted from */		\
	F(p##word)		/* the symbol of the point, or the place of the word */		\
	F(p##owner0)		/* the name of the task that has the word, bytes 0 to 7 */	\
	F(p##owner1)		/* bytes 8 to 15 */						\
	F(p##nth)		/* at which pass, from 1; 0: the first */			\
	/* Written by the tasks that pass. */							\
	F(p##counts)		/* an enum kemu_counts */					\
	F(p##reached)		/* how often the task came there */

#define KEMU_HOLD_FIELDS(F)									\
	/* hold.c says which task writes state; the script writes the others before it arms the hold. */ \
	F(state)		/* an enum kemu_hold_state; 0: unused */			\
	F(kind)			/* an enum kemu_hold_kind */					\
	F(start_point)		/* the symbol of the point at which a trial begins */		\
	KEMU_PLACE_FIELDS(F, at_)	/* where the task is held */				\
	KEMU_PLACE_FIELDS(F, until_)	/* what ends the hold */				\
	F(task)			/* the slot of the task whose thread is held; written by that task */ \
	F(held)			/* 1: the task was held; written by that task */		\
	F(until_passed)		/* 1: the task of until_ came to that place */

#define KEMU_COMPLETION_FIELDS(F)								\
	/* Guarded by lock. */									\
	F(lock)			/* 0, or 1 + the slot of its owner */				\
	F(done)			/* how many events no task has taken yet; KEMU_COMPLETE_ALL: enough for all tasks */ \
	F(waiters_next)		/* the list of tasks that wait */				\
	F(waiters_prev)		/* its other end */						\
	/* Written before the wait, by the task that knows it.  Only reports of hangs read it. */ \
	F(completer)		/* 1 + the slot of the task that is to complete it; 0: not known */

#define KEMU_COMPLETE_ALL (1ULL << 40)	/* what complete_all() counts to */

#define KEMU_WORD(name) u64 name;
#define KEMU_LINE(name) u64 name __attribute__((aligned(64)));

struct kemu_completion { KEMU_COMPLETION_FIELDS(KEMU_WORD) };

struct kemu_place { KEMU_PLACE_FIELDS(KEMU_WORD, ) };
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

/* A name that means the same in every process: of a point, a per-CPU variable, a lock class. */
struct kemu_symbol { u64 value; char name[KEMU_SYMBOL_NAME]; };

/* One trace event.  It copies pid and comm, because the task may be gone when it is read. */
struct kemu_event {
	u64 ns, id, cpu;
	u64 pid, comm0, comm1;			/* the current task */
	u64 subject_pid, subject_comm0, subject_comm1;	/* the task that it is about; zero: none */
	u64 a, b, c;
};

#endif
