/*
 * jitter.c - seeded random delays, at points or before every operation.
 *
 * Each task draws from a stream of its own, so a seed repeats the plan of delays.  It does
 * not repeat the interleaving, which the host decides too.
 *
 *	task.prng, pace, pace_left	<- by the task that draws
 *
 * Locks: none.  Callers: gate.c.
 */
#include <sched.h>

#include "hardware.h"

#define SCALES		10	/* of delays: from max down to max / 512 */
#define PACES		4	/* a task is slow one time in four, and quick two times in four */
#define PACE_RATIO	10	/* how much likelier a delay is while a task is slow */
#define SHORTEST_PACE	8	/* operations */

/*
 * xorshift64*: one stream per task, from the machine's seed.  The pid is in it, because
 * otherwise each of many short tasks of one name would be delayed at the same points.
 */
static u64 draw(struct kemu *k, struct kemu_task *t)
{
	u64 x = t->prng;

	if (!x)
		x = (load(&k->hdr->jitter_seed) + 1) * 0x9e3779b97f4a7c15ULL ^
		    (t->comm0 * 31 + t->comm1 + t->pid) * 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	t->prng = x ? x : 1;
	return x * 0x2545f4914f6cdd1dULL >> 11;
}

static void delay(struct kemu_self *s, u64 odds)
{
	struct kemu_header *h = s->k->hdr;
	u64 max = load(&h->jitter_max_ns), until;
	bool shared = kemu_this_cpu(s)->sharers > 1;
	void *host;

	if (!odds || !max || draw(s->k, s->task) % odds)
		return;
	/* Each scale is equally likely: a window may be a microsecond wide, or a millisecond. */
	max >>= draw(s->k, s->task) % SCALES;
	until = kemu_now() + draw(s->k, s->task) % (max + 1);
	host = kemu_begin_wait();
	while (kemu_now() < until && !(load(&h->gate) & GATE_PANIC)) {
		if (shared)
			sched_yield();
		else
			cpu_pause();
	}
	kemu_host.acquire(host);
}

/*
 * One operation in how many of this task is delayed, at the task's present pace.  A task
 * changes its pace from time to time: to hit a window of two operations, one task must be slow
 * there while the others are not.  If jitter delayed all tasks alike, no task would overtake
 * another.
 */
static u64 odds_at_op(struct kemu_self *s)
{
	struct kemu_task *t = s->task;
	u64 odds = load(&s->k->hdr->jitter_odds);

	if (!t->pace_left) {
		t->pace_left = SHORTEST_PACE << draw(s->k, t) % PACES;
		t->pace = draw(s->k, t) % PACES;
	}
	t->pace_left--;
	if (!t->pace)
		return odds / PACE_RATIO + 1;
	return t->pace == 1 ? odds : odds * PACE_RATIO;
}

/*
 * Before an operation.  Jitter may delay the task, and then the CPU takes what is due: an
 * interrupt if interrupts are on, a reschedule if preemption is on too.  So a CPU can be
 * interrupted before any operation, as hardware can be before any instruction, also while
 * the task holds a lock that it took with interrupts on.
 */
int kemu_jitter_at_op(struct kemu_self *s)
{
	delay(s, odds_at_op(s));
	return s->rescheduling ? KEMU_OK : kemu_take_due(s);
}

/* At a point.  KEMU_PENDING: something is due; the caller takes it. */
int kemu_jitter_at_point(struct kemu_self *s, u64 gate)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);

	delay(s, gate & GATE_JITTER_OPS ? odds_at_op(s) : load(&s->k->hdr->jitter_odds));
	return kemu_irq_pending(cpu) || kemu_resched_due(s, cpu) ? KEMU_PENDING : KEMU_OK;
}
