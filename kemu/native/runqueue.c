/*
 * runqueue.c - the queues of a CPU: links, counts, the bitmap of priorities.
 *
 * Which class a task is of, and when it is queued, is the kernel's business
 * (kernel/sched/classes.py).  Here is what Linux's classes do alike: a queued fair
 * task is linked in the one fair queue, a fifo task in the queue of its priority,
 * whose bit says that it is not empty.  The stop class has no queue, it counts.
 *
 * No lock here: the caller holds rq_lock.
 */
#include "native.h"

#define HALF	(KEMU_MAX_RT_PRIO / 2)	/* the bitmap is in two words */

static u64 offset_in(struct kemu *k, u64 *word)
{
	return (u64)((char *)word - k->base);
}

static void count(u64 *word, u64 more)
{
	store(word, load(word) + more);
}

static bool linked(struct kemu *k, struct kemu_task *t)
{
	u64 next = load(&t->run_next);

	return next && next != offset_in(k, &t->run_next);
}

static u64 *bitmap_of(struct kemu_cpu *cpu, u64 prio)
{
	return prio < HALF ? &cpu->rt_bitmap0 : &cpu->rt_bitmap1;
}

/* Behind its equals.  KEMU_PENDING: a task of no queue's class, which is left alone. */
int kemu_enqueue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	u64 class = load(&t->sched_class), prio = load(&t->prio);
	u64 node = offset_in(k, &t->run_next);
	int status = KEMU_OK;

	if (class == CLASS_FAIR) {
		status = kemu_list_add(k, offset_in(k, &cpu->fair_next), node, true);
		if (!status)
			count(&cpu->fair_nr, 1);
	} else if (class == CLASS_RT && prio < KEMU_MAX_RT_PRIO) {
		status = kemu_list_add(k, offset_in(k, cpu->rt_queue[prio]), node, true);
		if (!status) {
			fetch_or(bitmap_of(cpu, prio), 1ULL << prio % HALF);
			count(&cpu->rt_nr, 1);
		}
	} else if (class != CLASS_STOP) {
		status = KEMU_PENDING;
	}
	if (!status)
		count(&cpu->nr_running, 1);
	return status;
}

/* KEMU_PENDING: it is not queued as its class says, and is left as it is. */
int kemu_dequeue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	u64 class = load(&t->sched_class), prio = load(&t->prio);
	bool is_rt = class == CLASS_RT && prio < KEMU_MAX_RT_PRIO;
	int status;

	if (class == CLASS_STOP ? linked(k, t) : !linked(k, t) || (class != CLASS_FAIR && !is_rt))
		return KEMU_PENDING;
	status = kemu_list_del(k, offset_in(k, &t->run_next));
	if (status)
		return status;
	if (class == CLASS_FAIR)
		count(&cpu->fair_nr, ~0ULL);
	if (is_rt) {
		count(&cpu->rt_nr, ~0ULL);
		if (load(&cpu->rt_queue[prio][0]) == offset_in(k, cpu->rt_queue[prio]))
			fetch_and(bitmap_of(cpu, prio), ~(1ULL << prio % HALF));
	}
	count(&cpu->nr_running, ~0ULL);
	return KEMU_OK;
}

/* The first of the most urgent queue; KEMU_PENDING: all are empty. */
int kemu_first_queued(struct kemu *k, struct kemu_cpu *cpu, u64 *slot)
{
	u64 head = offset_in(k, &cpu->fair_next), node, bits = load(&cpu->rt_bitmap0), base = 0;
	u64 tasks = (u64)((char *)k->tasks - k->base);
	int status;

	if (load(&cpu->rt_nr)) {
		if (!bits) {
			bits = load(&cpu->rt_bitmap1);
			base = HALF;
		}
		base += bits ? (u64)__builtin_ctzll(bits) : KEMU_MAX_RT_PRIO;
		if (base >= KEMU_MAX_RT_PRIO)
			return KEMU_PENDING;
		head = offset_in(k, cpu->rt_queue[base]);
	}
	status = kemu_list_next(k, head, &node);
	if (status)
		return status;
	if (node == head)
		return KEMU_PENDING;
	*slot = (node - tasks) / sizeof(struct kemu_task);
	return node >= tasks && *slot < k->nr_tasks ? KEMU_OK : KEMU_CORRUPT;
}
