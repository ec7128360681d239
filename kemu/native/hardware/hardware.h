/*
 * hardware.h - the hardware's one header: what each .c file of this folder offers.
 *
 * Nothing here knows Python or the scheduler.  A function that may wait calls
 * kemu_host.release() first; python/module.c makes that drop the interpreter's lock.
 */
#ifndef KEMU_HARDWARE_H
#define KEMU_HARDWARE_H

#include <stdbool.h>
#include <stddef.h>

#include "atomic.h"

#define unlikely(x)	__builtin_expect(!!(x), 0)
#define likely(x)	__builtin_expect(!!(x), 1)

/* Zero, or why an operation did not do what was asked. */
enum kemu_status {
	KEMU_OK = 0,
	KEMU_PENDING,		/* not an error: an interrupt or a reschedule is due */
	KEMU_STOPPED = -1,	/* the machine has panicked */
	KEMU_NOTASK = -2,	/* the calling thread is not a task of a machine */
	KEMU_RANGE = -3,	/* an offset, slot or size outside the memory */
	KEMU_NOTOWNER = -4,	/* unlock of a lock that another task holds */
	KEMU_RECURSION = -5,	/* lock of a lock that the task already holds */
	KEMU_FULL = -6,		/* no slot, symbol or memory left */
	KEMU_OSERROR = -7,	/* errno says what */
	KEMU_CORRUPT = -8,	/* a list that contradicts itself, a lock whose owner does not exist */
	KEMU_ATOMIC = -9,	/* a hold point reached with a spinlock held */
	KEMU_BUSY = -10,	/* a node that is already on a list, a slot in use */
	KEMU_SIGNAL = -11,	/* the thread is not a task, and a signal may wait for its handler */
	KEMU_RAISED = -12,	/* a vector failed, and has set a Python exception */
	KEMU_STUCK = -14,	/* a raw lock that its owner does not free */
	KEMU_ENDS = -13,	/* the thread is not a task any more: it ends */

	/* An invariant of the kernel is broken: sched/bug.py names it and stops the machine. */
	KEMU_BUG = -32,
	KEMU_BUG_CPU = -32,	/* a task is queued at a CPU that is not its own */
	KEMU_BUG_DEAD_CPU = -33, /* a task is queued at a CPU that is offline */
	KEMU_BUG_CLASS = -34,	/* an idle task is queued */
	KEMU_BUG_QUEUE = -35,	/* the queue of its class does not have the task */
	KEMU_BUG_COUNT = -36,	/* tasks are counted, and none is queued */
	KEMU_BUG_SLEEPS = -37,	/* a queued task sleeps */
	KEMU_BUG_ATOMIC = -38,	/* schedule() with preemption off */
	KEMU_BUG_GONE = -39,	/* a wake-up of a freed task */
	KEMU_BUG_NOWHERE = -40,	/* no CPU at all for a task */
	KEMU_BUG_ITSELF = -41,	/* a wake-up that would wait until its own task leaves its CPU */
};

/* Operations, as the gate counts and delays them. */
enum kemu_op {
	OP_LOAD = 1, OP_STORE, OP_XCHG, OP_CMPXCHG, OP_ADD, OP_OR, OP_AND, OP_WAIT, OP_LOCK, OP_UNLOCK,
	OP_CALL,		/* the beginning of a mechanism of the kernel that is in C */
	OP_POINT, OP_START, OP_RELAX, OP_IDLE, OP_TURN, OP_IRQ,	/* only the chooser uses these */
	OP_FENCE, OP_DRAIN, OP_PICK,	/* and these: storebuffer.c */
};

struct kemu {
	char *base;
	u64 size;
	struct kemu_header *hdr;
	struct kemu_cpu *cpus;
	struct kemu_task *tasks;
	/* Copied at attach: if the header is overwritten later, these still hold. */
	u64 nr_cpus, nr_tasks, symbols, rings, heap, heap_end, arena, arena_end;
};

/* A slot or a CPU number that comes from shared memory may be garbage: stay in bounds. */
static inline struct kemu_task *kemu_task_at(struct kemu *k, u64 slot)
{
	return &k->tasks[slot < k->nr_tasks ? slot : 0];
}

static inline struct kemu_cpu *kemu_cpu_at(struct kemu *k, u64 id)
{
	return &k->cpus[id < k->nr_cpus ? id : 0];
}

/* The other direction: the slot of a task, the offset of a word. */
static inline u64 kemu_slot(struct kemu *k, struct kemu_task *t)
{
	return (u64)(t - k->tasks);
}

static inline u64 kemu_offset(struct kemu *k, u64 *word)
{
	return (u64)((char *)word - k->base);
}

/* The calling OS thread: the task that it runs as, and its own task. */
struct kemu_self {
	struct kemu *k;
	struct kemu_task *task;		/* the task it runs as: its own, or swapper/N as a stand-in */
	struct kemu_task *thread;	/* its own task, on whose bell it sleeps */
	u64 reschedules;		/* a mask: CPUs to kick, put off by kemu_send_reschedule() */
	bool rescheduling;		/* inside the vector that takes a reschedule */
	enum kemu_begun { ENTERED, HAS_TURN, RUNS } begun;	/* how far a new task has come */
};

extern __thread struct kemu_self kemu_self;

/*
 * What the hardware calls in its host.  python/module.c sets these.
 *	release, acquire	drop and retake the interpreter's lock around a wait
 *	take_pending		take the interrupts and the reschedule that are due and not masked;
 *				the caller holds the interpreter's lock
 *	lock_used		judge a lock that was taken in a new way (lockuse.c)
 */
struct kemu_host {
	void *(*release)(void);
	void (*acquire)(void *state);
	int (*take_pending)(void);
	int (*lock_used)(u64 class, u64 use, u64 before);
};

extern struct kemu_host kemu_host;

/* memory.c: the mapping, bounds, the allocators of slots, symbols, heap, arena */
u64 kemu_size(u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena);
int kemu_format(struct kemu *k, u64 nr_cpus, u64 nr_tasks, u64 heap, u64 arena);
int kemu_attach(struct kemu *k, void *base, u64 size);
u64 *kemu_word(struct kemu *k, u64 off);
int kemu_task_alloc(struct kemu *k, u64 *slot);
int kemu_task_free(struct kemu *k, u64 slot);
int kemu_symbol(struct kemu *k, const char *name, u64 len, u64 *index);
bool kemu_is_symbol(struct kemu *k, const char *name, u64 index);
int kemu_publish(struct kemu *k, const char *data, u64 len, u64 *off);

/* heap.c: blocks of shared memory by powers of two */
int kemu_heap_alloc(struct kemu *k, u64 size, u64 *off);
int kemu_heap_free(struct kemu *k, u64 off);
u64 kemu_heap_usable(struct kemu *k, u64 off);

/* bell.c: the only sleep, and the only way to end it */
u64 kemu_now(void);
void *kemu_begin_wait(void);
typedef bool (*kemu_cond)(void *arg);
void kemu_notify(u64 *bell);
bool kemu_sleep_once(u64 *bell, u64 deadline);
int kemu_sleep_until(struct kemu *k, u64 *bell, u64 poll_ns, u64 deadline,
		     kemu_cond cond, void *arg);
void kemu_backoff(unsigned int round);
void kemu_notify_all(struct kemu *k);

/* watch.c: waiting for a word to change */
u64 kemu_poll_ns(struct kemu *k);
void kemu_begin_watch(struct kemu_self *s, u64 *word);
void kemu_end_watch(struct kemu_self *s);
void kemu_nap(struct kemu_self *s);
struct kemu_task *kemu_next_watcher(struct kemu *k, u64 *mask);
void kemu_changed(struct kemu *k, u64 *word);
void kemu_relax_while(struct kemu_self *s, u64 *word, u64 value);
int kemu_wait_while(struct kemu *k, u64 *word, u64 value, struct kemu_task *whom);

/* spinlock.c */
int kemu_spin_lock(struct kemu *k, u64 *lock, u64 owner);
int kemu_spin_unlock(u64 *lock, u64 owner);
void kemu_unlocked(struct kemu *k, u64 *lock);
int kemu_lock(struct kemu_self *s, u64 *lock);
int kemu_unlock(struct kemu_self *s, u64 *lock);
int kemu_raw_lock(struct kemu *k, u64 *lock);
void kemu_raw_unlock(u64 *lock);

/* cpu.c: turns, idling, interrupts, preemption */
struct kemu_cpu *kemu_this_cpu(struct kemu_self *s);
int kemu_switch_to(struct kemu_self *s, struct kemu_task *next, u64 *last);
void kemu_switch_away(struct kemu_self *s, struct kemu_task *next);
bool kemu_stands_in(struct kemu_self *s, struct kemu_task *next);
int kemu_switch_to_stand_in(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next, u64 *last);
void kemu_switch_away_to_stand_in(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next);
int kemu_wait_turn(struct kemu_self *s, u64 *last);
void kemu_stand_in(struct kemu_self *s);
int kemu_resign(struct kemu_self *s, u64 *last);
int kemu_idle(struct kemu_self *s, u64 *why);
void kemu_mark_idle(struct kemu_self *s, struct kemu_cpu *cpu, enum kemu_idling how);
void kemu_mark_busy(struct kemu_cpu *cpu);
bool kemu_idle_must_end(struct kemu_cpu *cpu);
void kemu_kick(struct kemu *k, struct kemu_cpu *cpu);
void kemu_send_reschedule(struct kemu *k, struct kemu_cpu *cpu);
void kemu_deliver_kicks(struct kemu_self *s);
bool kemu_irq_pending(struct kemu_cpu *cpu);
bool kemu_resched_due(struct kemu_self *s, struct kemu_cpu *cpu);
u64 kemu_irq_save(struct kemu_self *s);
void kemu_irq_put(struct kemu_self *s, u64 flags);
int kemu_take_due(struct kemu_self *s);

/* What ended kemu_idle(). */
enum kemu_why { WHY_RESCHED = 1, WHY_IRQ = 2, WHY_TURN = 4 };

/* A turn with the idle duty: the CPU has not switched from a task, so there is no switch to finish. */
#define KEMU_TURN_IDLE	(1ULL << 32)
/* A turn that ends the thread, because another process has the task. */
#define KEMU_TURN_REHOME (1ULL << 33)
/* Plus 1 + the slot of a dead task to free, if there is one: the task that went has finished the switch. */
#define KEMU_TURN_FINISHED (1ULL << 34)
#define KEMU_NEVER	(~0ULL >> 1)

/* list.c: circular lists of offsets */
void kemu_list_init(struct kemu *k, u64 head);
int kemu_list_add(struct kemu *k, u64 head, u64 node, bool tail);
int kemu_list_del(struct kemu *k, u64 node);
int kemu_list_next(struct kemu *k, u64 node, u64 *next);

/* gate.c: what happens before an operation takes effect */
int kemu_gate(struct kemu_self *s, struct kemu *k, u64 op, u64 off, u64 value);
int kemu_point(struct kemu_self *s, u64 point);
struct kemu_name { const char *name; u64 hint; };
int kemu_named_point(struct kemu_self *s, struct kemu_name *point);

/* jitter.c: seeded random delays */
int kemu_jitter_at_op(struct kemu_self *s);
int kemu_jitter_at_point(struct kemu_self *s, u64 gate);

/* lockuse.c: how each class of spinlock has been taken */
#define KEMU_HARDIRQ_OFFSET (1 << 16)	/* in task.preempt_count */
int kemu_lock_used(struct kemu_self *s, u64 class);
int kemu_named_lock_used(struct kemu_self *s, struct kemu_name *class);
int kemu_field_lock_used(struct kemu_self *s, u64 off);

/* hold.c: a script holds a task at a point, or before an operation */
int kemu_hold_at(struct kemu_self *s, u64 op, u64 off);
int kemu_wait_while_held(struct kemu_self *s);
void kemu_end_hold_of(struct kemu *k, struct kemu_task *whom);
void kemu_end_stall_of(struct kemu *k, struct kemu_task *whom);
bool kemu_end_first_hold(struct kemu *k);
bool kemu_stands_still(struct kemu *k, struct kemu_cpu *cpu);

/* quiet.c: does any CPU have something to do? */
bool kemu_all_blocked(struct kemu *k);
void kemu_went_idle(struct kemu *k);

/* chooser.c: one CPU runs at a time, and a plan says which */
int kemu_choose(struct kemu_self *s, u64 op, u64 off, u64 value);
int kemu_choose_at_point(struct kemu_self *s, u64 point);
int kemu_idle_by_choice(struct kemu_self *s, struct kemu_cpu *cpu);
bool kemu_has_baton(struct kemu *k, struct kemu_cpu *cpu);
void kemu_record_wakeup(struct kemu_self *s, struct kemu_cpu *cpu);

/* enabled.c: the time that tasks see */
u64 kemu_clock(struct kemu *k);

/* storebuffer.c: what a CPU's loads and stores do under a memory model */
void kemu_put(struct kemu_self *s, struct kemu *k, u64 *word, u64 value, bool release);
void kemu_put_unlock(struct kemu_self *s, u64 *lock);
u64 kemu_get(struct kemu_self *s, struct kemu *k, u64 *word, bool acquire);
u64 kemu_peek(struct kemu_self *s, struct kemu *k, u64 *word);
int kemu_full_barrier(struct kemu_self *s);
void kemu_write_barrier(struct kemu_self *s);
void kemu_read_barrier(struct kemu_self *s);
void kemu_drain_at_interrupt(struct kemu_self *s);

/* standin.c: turns under control */
bool kemu_stands_in_now(struct kemu *k, struct kemu_task *t);
int kemu_take_turn_by_choice(struct kemu_self *s, u64 last);
bool kemu_is_busy_elsewhere(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next);
void kemu_let_others_go_on(struct kemu_self *s, struct kemu_cpu *cpu);
void kemu_resign_by_choice(struct kemu_self *s, struct kemu_cpu *cpu);

/* ring.c: one trace ring per CPU, one writer at a time */
void kemu_trace(struct kemu_self *s, u64 id, struct kemu_task *subject, u64 a, u64 b, u64 c);
struct kemu_event *kemu_ring_of(struct kemu *k, u64 cpu);

/* affinity.c: which host core a thread runs on */
int kemu_pin(u64 tid, u64 core);
u64 kemu_tid(void);
int kemu_getcpu(void);

/* handover.c: the floor that latencies are compared with */
int kemu_handover(u64 core_a, u64 core_b, u64 n, u64 budget_ns, bool sleeping, u64 *took, u64 *done);

/* process.c */
int kemu_die_with_parent(void);

/* Whether a chooser decides every step. */
static inline bool kemu_controlled(struct kemu *k)
{
	return unlikely(load(&k->hdr->gate) & GATE_CONTROL);
}

/* Passes the gate before a step of a mechanism in C that other CPUs may see. */
static inline int kemu_step(struct kemu_self *s, enum kemu_op op, u64 *word, u64 value)
{
	if (!unlikely(load(&s->k->hdr->gate)))
		return KEMU_OK;
	return kemu_gate(s, s->k, op, kemu_offset(s->k, word), value);
}

/* Such a step that stores. */
static inline int kemu_store_step(struct kemu_self *s, u64 *word, u64 value, bool release)
{
	int status = KEMU_OK;

	if (unlikely(load(&s->k->hdr->gate))) {
		status = kemu_gate(s, s->k, OP_STORE, kemu_offset(s->k, word), value);
		if (status >= 0)
			kemu_put(s, s->k, word, value, release);
	} else if (release) {
		store_release(word, value);
	} else {
		store(word, value);
	}
	return status;
}

/* The store of a step that the caller has taken. */
static inline void kemu_set(struct kemu *k, u64 *word, u64 value)
{
	if (kemu_controlled(k))
		kemu_put(&kemu_self, k, word, value, false);
	else
		store(word, value);
}

/* Such a step that loads. */
static inline int kemu_load_step(struct kemu_self *s, u64 *word, u64 *value)
{
	int status = KEMU_OK;

	if (!unlikely(load(&s->k->hdr->gate))) {
		*value = load(word);
		return KEMU_OK;
	}
	status = kemu_gate(s, s->k, OP_LOAD, kemu_offset(s->k, word), 0);
	if (status >= 0)
		*value = kemu_get(s, s->k, word, false);
	return status;
}

#endif
