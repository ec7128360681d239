/*
 * hold.c - a script holds a task at a named point.
 *
 * The task that the hold names stops at the point.  The hold ends when some task passes the
 * awaited point, when another task waits for the held one, or when nothing else can run.
 * So a kernel that rightly waits for the held task is not a deadlock of the script.
 *
 *	hold.state	<- HOLD_ARMED: by the script
 *			   HOLD_HELD: by the task that reaches the point (cmpxchg)
 *			   how it ended: by the task that ends it (cmpxchg), which then
 *			   notifies the held thread
 *	hold.task	<- by the held task, after the cmpxchg to HOLD_HELD
 *	hold.reached	<- how often the task passed the point; hold.nth is the pass at which
 *			   it stops
 *	hold.held	<- 1: the task stopped
 *	hold.until_passed <- 1: the awaited point was passed, whatever the state
 *
 * Locks: none.  Callers: gate.c at a point; watch.c and spinlock.c when a task waits for
 * another; quiet.c.
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
		    is_named(whom, h->comm0, h->comm1))
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

/* Only held tasks can run: ends all holds.  Returns whether there was one. */
bool kemu_end_all_holds(struct kemu *k)
{
	bool any = false;

	for (int i = 0; i < KEMU_MAX_HOLDS; i++)
		if (load_acquire(&k->hdr->holds[i].state) == HOLD_HELD) {
			end_hold(k, &k->hdr->holds[i], HOLD_ALL_BLOCKED);
			any = true;
		}
	return any;
}

/* The current task passes a point: this ends the holds that await it. */
void kemu_passed_point(struct kemu_self *s, u64 point)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &s->k->hdr->holds[i];
		u64 state = load_acquire(&h->state);

		if (!state || h->until_point != point ||
		    (h->until_comm0 && !is_named(s->task, h->until_comm0, h->until_comm1)))
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

		if (load(&h->state) == HOLD_HELD && is_named(t, h->comm0, h->comm1))
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
 * Counts the pass in every hold of the current task at this point.  Returns the first hold
 * that is armed for this pass, or NULL.
 */
static struct kemu_hold *count_pass(struct kemu_self *s, u64 point)
{
	struct kemu_hold *due = NULL;

	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &s->k->hdr->holds[i];
		u64 state = load_acquire(&h->state);

		if (!state || h->point != point || !is_named(s->task, h->comm0, h->comm1))
			continue;
		if (fetch_add(&h->reached, 1) + 1 >= h->nth && state == HOLD_ARMED && !due)
			due = h;
	}
	return due;
}

/* The current task reaches a point: it is held there if a hold says so. */
int kemu_hold_at(struct kemu_self *s, u64 point)
{
	struct kemu_hold *h = count_pass(s, point);
	int status = h ? begin_hold(s, h) : KEMU_OK;

	return status == KEMU_BUSY ? KEMU_OK : status;
}
