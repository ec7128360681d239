/*
 * hold.c - a script holds a task at a named point, or before an operation.
 *
 * The task that the hold names stops at the place that the hold names.  The hold ends when
 * some task comes to the awaited place, when another task waits for the held one, or when
 * nothing else can run.  So a kernel that rightly waits for the held task is not a deadlock
 * of the script.
 *
 * A place is an operation of a task on a word; a named point is OP_POINT on its symbol.  The
 * gate comes here before the operation takes effect.  A word of a task is found by the name of
 * the task, because the task may be born after the script was armed.
 *
 *	hold.state	<- HOLD_ARMED: by the script
 *			   HOLD_HELD: by the task that reaches the point (cmpxchg)
 *			   how it ended: by the task that ends it (cmpxchg), which then
 *			   notifies the held thread
 *	hold.task	<- by the held task, after the cmpxchg to HOLD_HELD
 *	place.reached	<- how often the task came to the place; place.nth is the pass at which
 *			   it stops there, or at which it ends the hold
 *	place.counts	<- COUNTS: by the task that passes the start point, and from then on a pass
 *			   of an operation counts.  What a task does before a trial does not count.
 *	hold.held	<- 1: the task stopped
 *	hold.until_passed <- 1: the task of until came to its place, whatever the state
 *
 * Locks: none.  Callers: gate.c at a point and before an operation; watch.c and spinlock.c
 * when a task waits for another; quiet.c.
 */
#include "hardware.h"

#define HOLD_POLL_NS	20000

static bool is_named(struct kemu_task *t, u64 comm0, u64 comm1)
{
	return load(&t->comm0) == comm0 && load(&t->comm1) == comm1;
}

static void end_hold(struct kemu *k, struct kemu_hold *h, enum kemu_hold_state how)
{
	if (cmpxchg(&h->state, HOLD_HELD, how) == HOLD_HELD)
		kemu_notify(&kemu_task_at(k, load(&h->task))->bell);
}

/* The caller is about to sleep until `whom` acts: if the script holds `whom`, the hold ends. */
void kemu_end_hold_of(struct kemu *k, struct kemu_task *whom)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &k->hdr->holds[i];

		if (load_acquire(&h->state) == HOLD_HELD &&
		    is_named(whom, h->at_comm0, h->at_comm1))
			end_hold(k, h, HOLD_WAITED_FOR);
	}
}

/*
 * The caller polls until `whom` acts: if the CPU of `whom` stands still at a hold, the hold
 * ends.  A held task that was preempted does not stand still.  It may be in the middle of
 * a switch, with the lock of its runqueue, and will free that lock by itself.
 */
void kemu_end_stall_of(struct kemu *k, struct kemu_task *whom)
{
	u64 cpu = load(&whom->cpu);

	if (cpu < k->nr_cpus && load(&k->cpus[cpu].idling) == CPU_HELD &&
	    load(&k->cpus[cpu].idler) == kemu_slot(k, whom) + 1)
		kemu_end_hold_of(k, whom);
}

/*
 * Only held tasks can run: ends the first hold of the script.  What the task then does may end the
 * others, so they end in the script's order.  Returns whether there was one.
 */
bool kemu_end_first_hold(struct kemu *k)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++)
		if (load_acquire(&k->hdr->holds[i].state) == HOLD_HELD) {
			end_hold(k, &k->hdr->holds[i], HOLD_ALL_BLOCKED);
			return true;
		}
	return false;
}

static struct kemu_place *at_of(struct kemu_hold *h)
{
	return (struct kemu_place *)&h->at_comm0;
}

static struct kemu_place *until_of(struct kemu_hold *h)
{
	return (struct kemu_place *)&h->until_comm0;
}

static bool is_kthread_word(struct kemu *k, struct kemu_place *p, u64 off)
{
	for (u64 slot = 0; slot < k->nr_tasks; slot++) {
		struct kemu_task *t = &k->tasks[slot];

		if (load(&t->used) && is_named(t, p->owner0, p->owner1) &&
		    load(&t->kthread) && load(&t->kthread) + p->word == off)
			return true;
	}
	return false;
}

/* Whether the word at this offset is the one that the place names. */
static bool is_word(struct kemu *k, struct kemu_place *p, u64 off)
{
	u64 in_tasks = off - kemu_offset(k, (u64 *)k->tasks), size = sizeof(struct kemu_task);

	if (p->base == BASE_MEMORY)
		return off == p->word;
	if (p->base == BASE_KTHREAD)
		return is_kthread_word(k, p, off);
	return in_tasks / size < k->nr_tasks && in_tasks % size == p->word &&
	       is_named(&k->tasks[in_tasks / size], p->owner0, p->owner1);
}

/* The current task is about to do an operation.  Returns whether it has come to the place. */
static bool comes_to(struct kemu_self *s, struct kemu_place *p, u64 op, u64 off)
{
	if (p->op != op || (p->comm0 && !is_named(s->task, p->comm0, p->comm1)) ||
	    !is_word(s->k, p, off) || load(&p->counts) != COUNTS)
		return false;
	return fetch_add(&p->reached, 1) + 1 >= p->nth;
}

/* A task passes the start point: from here the passes of its operations count. */
static void begin_to_count(struct kemu_self *s, struct kemu_place *p)
{
	if (load(&p->counts) == COUNTS_FROM_ANY_START ||
	    (load(&p->counts) == COUNTS_FROM_OWN_START && is_named(s->task, p->comm0, p->comm1)))
		store(&p->counts, COUNTS);
}

/* The current task comes to a place: this ends the holds that await it. */
static void end_awaiting(struct kemu_self *s, u64 op, u64 off)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &s->k->hdr->holds[i];
		u64 state = load_acquire(&h->state);

		if (!state)
			continue;
		if (op == OP_POINT && off == h->start_point) {
			begin_to_count(s, at_of(h));
			begin_to_count(s, until_of(h));
		}
		if (!comes_to(s, until_of(h), op, off))
			continue;
		store(&h->until_passed, 1);
		if (state != HOLD_ARMED && state != HOLD_HELD)
			continue;
		if (cmpxchg(&h->state, HOLD_ARMED, HOLD_PASSED) != HOLD_ARMED)
			end_hold(s->k, h, HOLD_PASSED);
	}
}

/*
 * Whether a CPU with a preemptible held task will leave that task for something else: the
 * same condition as in hold_is_over(), which the held thread itself evaluates.
 */
static bool will_leave(struct kemu *k, struct kemu_cpu *cpu)
{
	if (load(&cpu->irqs_off))
		return false;
	return load(&cpu->ipi) || load(&cpu->next_event) < KEMU_NEVER ||
	       (load(&cpu->need_resched) && !load(&kemu_task_at(k, load(&cpu->curr))->preempt_count));
}

/*
 * Whether a CPU that is marked CPU_HELD stands still.  It does not if the hold has ended,
 * although its thread may not know yet, nor if the held task is about to be preempted.
 */
bool kemu_stands_still(struct kemu *k, struct kemu_cpu *cpu)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &k->hdr->holds[i];

		if (load_acquire(&h->state) == HOLD_HELD &&
		    load(&kemu_task_at(k, load(&h->task))->cpu) == (u64)(cpu - k->cpus))
			return h->kind != HOLD_PREEMPTIBLE || !will_leave(k, cpu);
	}
	return false;
}

struct waiter {
	struct kemu_self *s;
	struct kemu_cpu *cpu;
	struct kemu_hold *hold;
};

static bool hold_is_over(void *arg)
{
	struct waiter *w = arg;

	if (load_acquire(&w->hold->state) != HOLD_HELD)
		return true;
	return w->hold->kind == HOLD_PREEMPTIBLE &&
	       (kemu_irq_pending(w->cpu) || kemu_resched_due(w->s, w->cpu));
}

static struct kemu_hold *hold_of(struct kemu *k, struct kemu_task *t)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &k->hdr->holds[i];

		if (load(&h->state) == HOLD_HELD && is_named(t, h->at_comm0, h->at_comm1))
			return h;
	}
	return NULL;
}

/*
 * Waits until the hold of the current task ends.  KEMU_PENDING: the hold goes on, but
 * something is due on the CPU.  The caller takes it and calls again.
 */
int kemu_wait_while_held(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct waiter w = { s, cpu, hold_of(s->k, s->task) };
	bool interruptible;
	void *host;
	int status;

	if (!w.hold)
		return KEMU_OK;
	interruptible = w.hold->kind == HOLD_PREEMPTIBLE && !load(&cpu->irqs_off);
	host = kemu_begin_wait();
	kemu_mark_idle(s, cpu, CPU_HELD);
	kemu_went_idle(s->k);
	status = kemu_sleep_until(s->k, &s->thread->bell, cpu->sharers > 1 ? 0 : HOLD_POLL_NS,
				  interruptible ? cpu->next_event : KEMU_NEVER,
				  hold_is_over, &w);
	kemu_mark_busy(cpu);
	kemu_host.acquire(host);
	if (status)
		return status;
	return load(&w.hold->state) == HOLD_HELD ? KEMU_PENDING : KEMU_OK;
}

/* Claims the hold and waits in it.  KEMU_BUSY: a task of the same name has claimed it. */
static int begin_hold(struct kemu_self *s, struct kemu_hold *h)
{
	if (s->task->locks && h->kind != HOLD_LOCKED)
		return KEMU_ATOMIC;
	/* The claim comes first: a second task of that name must not overwrite hold.task. */
	if (cmpxchg(&h->state, HOLD_ARMED, HOLD_HELD) != HOLD_ARMED)
		return KEMU_BUSY;
	/*
	 * kemu_wait_while_held() has a full barrier before it looks at the state.  So the task
	 * that ends the hold either reads this slot and notifies its thread, or ended the
	 * hold before that look, which then sees it.
	 */
	store(&h->held, 1);
	store(&h->task, kemu_slot(s->k, s->thread));
	return kemu_wait_while_held(s);
}

/*
 * Counts the pass in every hold of the current task at this place.  Returns the first hold
 * that is armed for this pass, or NULL.
 */
static struct kemu_hold *count_pass(struct kemu_self *s, u64 op, u64 off)
{
	struct kemu_hold *due = NULL;

	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &s->k->hdr->holds[i];
		u64 state = load_acquire(&h->state);

		if (state && comes_to(s, at_of(h), op, off) && state == HOLD_ARMED && !due)
			due = h;
	}
	return due;
}

/* The current task comes to a point, or to an operation: it is held there if a hold says so. */
int kemu_hold_at(struct kemu_self *s, u64 op, u64 off)
{
	struct kemu_hold *h;
	int status;

	end_awaiting(s, op, off);
	h = count_pass(s, op, off);
	status = h ? begin_hold(s, h) : KEMU_OK;
	return status == KEMU_BUSY ? KEMU_OK : status;
}
