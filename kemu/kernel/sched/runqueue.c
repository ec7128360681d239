/*
 * runqueue.c - the queues of a CPU: links, counts, the bitmap of priorities, the next task.
 *
 * Linux: kernel/sched/{stop_task,rt,fair,idle_task}.c.  A queued fair task is linked in the
 * fair queue.  A queued fifo task is linked in the queue of its priority; the priority's bit
 * says that this queue is not empty.  The stop class has no queue: cpu.stop is its only task,
 * and enqueue and dequeue merely count.  A task of a later class runs before a task of an
 * earlier class, a lower priority number before a higher one, and equals in order of arrival.
 *
 *	task.on_rq	<- 1 by kemu_activate, 0 by kemu_deactivate only; swapper's is
 *			   always 1, and no queue links it
 *	need_resched	<- 1 by kemu_resched_curr; the kick comes when the caller holds
 *			   no spinlock any more (kemu_send_reschedule)
 *
 * KEMU_BUG_...: an invariant does not hold; kernel/sched/runqueue.py says which.
 *
 * Locks: kemu_task_rq_lock takes pi_lock and rq_lock; the caller of all the others holds rq_lock.
 * Python half: kernel/sched/runqueue.py.
 */
#include "sched.h"

#define HALF	(KEMU_MAX_RT_PRIO / 2)	/* the bitmap is in two words */

static void count(u64 *word, u64 more)
{
	store(word, load(word) + more);
}

static bool linked(struct kemu *k, struct kemu_task *t)
{
	u64 next = load(&t->run_next);

	return next && next != kemu_offset(k, &t->run_next);
}

static u64 *bitmap_of(struct kemu_cpu *cpu, u64 prio)
{
	return prio < HALF ? &cpu->rt_bitmap0 : &cpu->rt_bitmap1;
}

/* Queues t behind its equals.  KEMU_PENDING: t's class has no queue, and nothing has changed. */
int kemu_enqueue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	u64 class = load(&t->sched_class), prio = load(&t->prio);
	u64 node = kemu_offset(k, &t->run_next);
	int status = KEMU_OK;

	if (class == CLASS_FAIR) {
		status = kemu_list_add(k, kemu_offset(k, &cpu->fair_next), node, true);
		if (!status)
			count(&cpu->fair_nr, 1);
	} else if (class == CLASS_RT && prio < KEMU_MAX_RT_PRIO) {
		status = kemu_list_add(k, kemu_offset(k, cpu->rt_queue[prio]), node, true);
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

/* Unqueues t.  KEMU_PENDING: the queue of its class does not have t, and nothing has changed. */
int kemu_dequeue(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	u64 class = load(&t->sched_class), prio = load(&t->prio);
	bool is_rt = class == CLASS_RT && prio < KEMU_MAX_RT_PRIO;
	int status;

	if (class == CLASS_STOP ? linked(k, t) : !linked(k, t) || (class != CLASS_FAIR && !is_rt))
		return KEMU_PENDING;
	status = kemu_list_del(k, kemu_offset(k, &t->run_next));
	if (status)
		return status;
	if (class == CLASS_FAIR)
		count(&cpu->fair_nr, ~0ULL);
	if (is_rt) {
		count(&cpu->rt_nr, ~0ULL);
		if (load(&cpu->rt_queue[prio][0]) == kemu_offset(k, cpu->rt_queue[prio]))
			fetch_and(bitmap_of(cpu, prio), ~(1ULL << prio % HALF));
	}
	count(&cpu->nr_running, ~0ULL);
	return KEMU_OK;
}

/* The first task in the most urgent queue; KEMU_PENDING: all queues are empty. */
int kemu_first_queued(struct kemu *k, struct kemu_cpu *cpu, u64 *slot)
{
	u64 head = kemu_offset(k, &cpu->fair_next), node, bits = load(&cpu->rt_bitmap0), base = 0;
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
		head = kemu_offset(k, cpu->rt_queue[base]);
	}
	status = kemu_list_next(k, head, &node);
	if (status)
		return status;
	if (node == head)
		return KEMU_PENDING;
	*slot = (node - tasks) / sizeof(struct kemu_task);
	return node >= tasks && *slot < k->nr_tasks ? KEMU_OK : KEMU_CORRUPT;
}

/* Queues t and sets on_rq.  The caller has set t's CPU. */
int kemu_activate(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	u64 id = (u64)(cpu - k->cpus);
	int status;

	if (load(&t->cpu) != id)
		return KEMU_BUG_CPU;
	if (!(load(&k->hdr->online_mask) & 1ULL << id))
		return KEMU_BUG_DEAD_CPU;
	status = kemu_enqueue(k, cpu, t);
	if (status)
		return status == KEMU_PENDING ? KEMU_BUG_CLASS : status;
	kemu_set(k, &t->on_rq, 1);
	return KEMU_OK;
}

/* Unqueues t and clears on_rq. */
int kemu_deactivate(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	int status = kemu_dequeue(k, cpu, t);

	if (status)
		return status == KEMU_PENDING ? KEMU_BUG_QUEUE : status;
	kemu_set(k, &t->on_rq, 0);
	return KEMU_OK;
}

/* The most urgent queued task; the idle task if none is queued. */
int kemu_pick_next(struct kemu *k, struct kemu_cpu *cpu, u64 *slot)
{
	u64 stop = load(&cpu->stop);
	int status;

	if (stop) {
		struct kemu_task *t = kemu_task_at(k, stop - 1);

		*slot = (u64)(t - k->tasks);
		if (load(&t->on_rq) && load(&t->cpu) == (u64)(cpu - k->cpus))
			return KEMU_OK;
	}
	status = kemu_first_queued(k, cpu, slot);
	if (status == KEMU_PENDING) {
		*slot = load(&cpu->idle);
		return load(&cpu->rt_nr) ? KEMU_BUG_COUNT : KEMU_OK;
	}
	if (status == KEMU_OK && !load(&kemu_task_at(k, *slot)->on_rq))
		return KEMU_BUG_SLEEPS;
	return status;
}

/* Has the CPU call schedule() soon.  need_resched is stored before the kick looks for an idler. */
void kemu_resched_curr(struct kemu *k, struct kemu_cpu *cpu)
{
	if (load(&cpu->need_resched))
		return;
	store(&cpu->need_resched, 1);
	if (cpu != kemu_this_cpu(&kemu_self))
		kemu_send_reschedule(k, cpu);
}

/* t was just queued: the CPU calls schedule() if it may have to switch. */
void kemu_check_preempt(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *t)
{
	struct kemu_task *curr = kemu_task_at(k, load(&cpu->curr));
	u64 mine = load(&t->sched_class), its = load(&curr->sched_class);
	bool sooner = mine == CLASS_RT && load(&t->prio) < load(&curr->prio);
	bool shared = mine == CLASS_FAIR && load(&cpu->fair_nr) == 2;	/* it must start its tick */

	if (mine < its || (mine == its && !sooner && !shared))
		return;
	kemu_resched_curr(k, cpu);
}

/* Locks p's pi_lock, then the runqueue that p is on by then.  The caller has interrupts off. */
int kemu_task_rq_lock(struct kemu_self *s, struct kemu_task *p, struct kemu_cpu **rq)
{
	for (;;) {
		int status = kemu_lock(s, &p->pi_lock);

		if (status < 0)
			return status;
		*rq = kemu_cpu_at(s->k, load(&p->cpu));
		status = kemu_lock(s, &(*rq)->rq_lock);
		if (status < 0 || *rq == kemu_cpu_at(s->k, load(&p->cpu)))
			return status;
		status = kemu_unlock(s, &(*rq)->rq_lock);
		if (status >= 0)
			status = kemu_unlock(s, &p->pi_lock);
		if (status < 0)
			return status;
	}
}
