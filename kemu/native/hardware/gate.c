/*
 * gate.c - what stands between an operation and its effect when something is armed.
 *
 * header.gate is one word, read by every operation; zero is the usual case and
 * costs one predictable branch.  From simplest to strongest: the panic, the
 * trace, jitter, holds.  A chooser (GATE_CONTROL) would stand in kemu_gate()
 * and kemu_point(), where every operation already comes by.
 *
 *	hold.state	<- ARMED: by the script; HELD: by the task that reaches the
 *			   point (cmpxchg); how it ended: by whoever ends it (cmpxchg),
 *			   who then rings the held thread's bell
 *
 * A hold ends when the awaited point is passed, when another task waits for the
 * held one, or when nothing else can run: so a kernel that rightly waits for the
 * held task is no deadlock of the script.
 */
#include <sched.h>
#include <string.h>

#include "hardware.h"

#define HOLD_POLL_NS	20000
#define SCALES		10	/* of delays: from max down to max / 512 */
#define PACES		4	/* a task is slow one time in four, quick two times in four */
#define PACE_RATIO	10	/* how much likelier a delay is where a task is slow */
#define SHORTEST_PACE	8	/* operations */

/* xorshift64*: one stream per task, from the machine's seed. */
static u64 draw(struct kemu *k, struct kemu_task *t)
{
	u64 x = t->prng;

	if (!x)
		x = (load(&k->hdr->jitter_seed) + 1) * 0x9e3779b97f4a7c15ULL ^
		    (t->comm0 * 31 + t->comm1) * 0xbf58476d1ce4e5b9ULL;
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
	/* All scales alike: a window may be a microsecond wide, or a millisecond. */
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
 * One operation in so many of this task is delayed, for as long as the task keeps its pace.
 * A task changes its pace from time to time: a window of two operations needs one task that
 * is slow there and others that are not.  If all were delayed alike, none would be overtaken.
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
 * The task may be delayed here, and the CPU takes what is due: an interrupt if interrupts are
 * on, a reschedule if preemption is on too.  An operation is then what an instruction is to
 * hardware: the CPU can be interrupted before any of them, also while the task holds a lock
 * that it took with interrupts on.
 */
static int jitter_at_op(struct kemu_self *s)
{
	delay(s, odds_at_op(s));
	return s->rescheduling ? KEMU_OK : kemu_take_due(s);
}

/* Before an operation of a task, when header.gate is not zero. */
int kemu_gate(struct kemu_self *s, struct kemu *k, u64 op, u64 off, u64 value)
{
	u64 gate = load(&k->hdr->gate);

	if (s->k != k || !s->task)
		return KEMU_OK;		/* the controller may look at a stopped machine */
	if (gate & GATE_PANIC)
		return KEMU_STOPPED;
	if (gate & GATE_JITTER_OPS) {
		int status = jitter_at_op(s);

		if (status < 0)
			return status;
	}
	if (gate & GATE_OPS)
		kemu_trace(s, EVENT_OP, NULL, op, off, value);
	return KEMU_OK;
}

static bool is_named(struct kemu_task *t, u64 comm0, u64 comm1)
{
	return load(&t->comm0) == comm0 && load(&t->comm1) == comm1;
}

static void end_hold(struct kemu *k, struct kemu_hold *h, enum kemu_hold_state how)
{
	if (cmpxchg(&h->state, HOLD_HELD, how) == HOLD_HELD)
		kemu_notify(&kemu_task_at(k, load(&h->task))->bell);
}

/* Another task is about to sleep until this one acts: if it is held it must be let go. */
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
 * Another CPU polls for this task to act: if it stands still at a hold it must be let go.
 * One that was preempted there does not: it may be in the middle of a switch, the lock of
 * its runqueue in its hands, and will free it.
 */
void kemu_end_stall_of(struct kemu *k, struct kemu_task *whom)
{
	u64 cpu = load(&whom->cpu);

	if (cpu < k->nr_cpus && load(&k->cpus[cpu].idling) == CPU_HELD &&
	    load(&k->cpus[cpu].idler) == kemu_slot(k, whom) + 1)
		kemu_end_hold_of(k, whom);
}

static void passed(struct kemu_self *s, u64 point)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &s->k->hdr->holds[i];
		u64 state = load_acquire(&h->state);

		if ((state != HOLD_ARMED && state != HOLD_HELD) || h->until_point != point ||
		    (h->until_comm0 && !is_named(s->task, h->until_comm0, h->until_comm1)))
			continue;
		if (cmpxchg(&h->state, HOLD_ARMED, HOLD_PASSED) != HOLD_ARMED)
			end_hold(s->k, h, HOLD_PASSED);
	}
}

/*
 * Whether the CPU will leave the task that is held on it, which may be preempted, for
 * something else: as let_go() sees it, who waits for just that.
 */
static bool will_leave(struct kemu *k, struct kemu_cpu *cpu)
{
	if (load(&cpu->irqs_off))
		return false;
	return load(&cpu->ipi) || load(&cpu->next_event) < KEMU_NEVER ||
	       (load(&cpu->need_resched) && !load(&kemu_task_at(k, load(&cpu->curr))->preempt_count));
}

/*
 * Whether a CPU that said it is held stands still.  One that was let go does not, though
 * its thread may not know yet, nor one whose held task is about to be preempted.
 */
static bool stands_still(struct kemu *k, struct kemu_cpu *cpu)
{
	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *h = &k->hdr->holds[i];

		if (load_acquire(&h->state) == HOLD_HELD &&
		    load(&kemu_task_at(k, load(&h->task))->cpu) == (u64)(cpu - k->cpus))
			return h->kind != HOLD_PREEMPTIBLE || !will_leave(k, cpu);
	}
	return false;
}

/*
 * Looks at each CPU: whether it idles with nothing due, or is held.  A CPU that plays
 * dead idles too; one that is offline and does not yet is on its way.
 * times: how often they have begun to idle, together.
 *
 * What is due is read first: a CPU says that it is busy before it takes what woke it
 * (kemu_mark_busy()), so if it is found taken, idling is found changed.
 */
static bool each_blocked(struct kemu *k, u64 *times)
{
	*times = 0;
	for (u64 i = 0; i < k->nr_cpus; i++) {
		struct kemu_cpu *cpu = &k->cpus[i];
		bool due = kemu_idle_must_end(cpu) ||
			   (load(&cpu->next_event) < KEMU_NEVER && !load(&cpu->irqs_off));
		bool still = stands_still(k, cpu);
		u64 idling;

		smp_mb();
		idling = load_acquire(&cpu->idling);
		*times += load_acquire(&cpu->idled);
		if (!(idling == CPU_HELD && still) && !(idling == CPU_IDLE && !due))
			return false;
	}
	return true;
}

/*
 * Every CPU idles with nothing due, or is held.  Read after the caller's smp_mb().
 *
 * One look will not do: a CPU that was seen to idle may be woken by another that idles
 * by the time it is looked at.  But if none has begun to idle anew between two looks,
 * each has idled all the time from the first to the second.  What was due to it in
 * between the second look finds, since only a CPU that is awake takes it.
 *
 * If one has, it was awake, and looks for itself: the last to say that it idles finds
 * all others so (their smp_mb()s came before its own), and nothing that changes.
 */
bool kemu_all_blocked(struct kemu *k)
{
	u64 first, second;

	return each_blocked(k, &first) && each_blocked(k, &second) && first == second;
}

/*
 * The last to go idle may be a CPU that plays dead and takes no interrupts: the first
 * one that is online is told.
 */
static void tell_quiescent(struct kemu *k)
{
	u64 online = load(&k->hdr->online_mask);

	for (u64 i = 0; i < k->nr_cpus; i++)
		if (online & 1ULL << i) {
			fetch_or(&k->cpus[i].ipi, IPI_QUIESCENT);
			kemu_kick(k, &k->cpus[i]);
			return;
		}
}

/*
 * One of those that found all blocked claims the news: whoever takes the bit away.  It may
 * have found so long ago, and the bit may be a later one's: so it looks again, and if
 * something runs, puts the bit back.  Whatever went idle meanwhile saw no bit and did not
 * look: hence once more, after the barrier of the fetch_or.
 */
static void claim_quiet(struct kemu *k)
{
	do {
		if (!(fetch_and(&k->hdr->gate, ~(u64)GATE_QUIESCE) & GATE_QUIESCE))
			return;
		if (kemu_all_blocked(k)) {
			tell_quiescent(k);
			return;
		}
		fetch_or(&k->hdr->gate, GATE_QUIESCE);
	} while (kemu_all_blocked(k));
}

/*
 * The calling CPU has said that it idles or is held.  The last to say so finds
 * all blocked: it lets held tasks go, or tells the kernel that all is quiet.
 */
void kemu_went_idle(struct kemu *k)
{
	bool held = false;

	if (!kemu_all_blocked(k))
		return;
	for (int i = 0; i < KEMU_MAX_HOLDS; i++)
		if (load_acquire(&k->hdr->holds[i].state) == HOLD_HELD) {
			end_hold(k, &k->hdr->holds[i], HOLD_ALL_BLOCKED);
			held = true;
		}
	if (!held)
		claim_quiet(k);
}

struct held {
	struct kemu_self *s;
	struct kemu_cpu *cpu;
	struct kemu_hold *hold;
};

static bool let_go(void *arg)
{
	struct held *h = arg;

	if (load_acquire(&h->hold->state) != HOLD_HELD)
		return true;
	return h->hold->kind == HOLD_PREEMPTIBLE &&
	       (kemu_irq_pending(h->cpu) || kemu_resched_due(h->s, h->cpu));
}

/* KEMU_PENDING: still held, but the CPU is wanted; call again after that. */
int kemu_wait_while_held(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct held h = { s, cpu, NULL };
	bool interruptible;
	void *host;
	int status;

	for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
		struct kemu_hold *hold = &s->k->hdr->holds[i];

		if (load(&hold->state) == HOLD_HELD && is_named(s->task, hold->comm0, hold->comm1))
			h.hold = hold;
	}
	if (!h.hold)
		return KEMU_OK;
	interruptible = h.hold->kind == HOLD_PREEMPTIBLE && !load(&cpu->irqs_off);
	host = kemu_begin_wait();
	kemu_mark_idle(s, cpu, CPU_HELD);
	kemu_went_idle(s->k);
	status = kemu_sleep_until(s->k, &s->thread->bell, cpu->sharers > 1 ? 0 : HOLD_POLL_NS,
				  interruptible ? cpu->next_event : KEMU_NEVER,
				  let_go, &h);
	kemu_mark_busy(cpu);
	kemu_host.acquire(host);
	if (status)
		return status;
	return load(&h.hold->state) == HOLD_HELD ? KEMU_PENDING : KEMU_OK;
}

/* KEMU_PENDING: whoever is delayed may be preempted there, and may be delayed elsewhere. */
static int jittered(struct kemu_self *s, u64 gate)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);

	delay(s, gate & GATE_JITTER_OPS ? odds_at_op(s) : load(&s->k->hdr->jitter_odds));
	return kemu_irq_pending(cpu) || kemu_resched_due(s, cpu) ? KEMU_PENDING : KEMU_OK;
}

/* A named point of the kernel or of a user's race. */
int kemu_point(struct kemu_self *s, u64 point)
{
	u64 gate = load(&s->k->hdr->gate);

	if (gate & GATE_PANIC)
		return KEMU_STOPPED;
	if (gate & GATE_TRACE)
		kemu_trace(s, EVENT_POINT, NULL, point, 0, 0);
	if (gate & GATE_NO_POINTS)
		return KEMU_OK;
	if (gate & GATE_HOLD) {
		passed(s, point);
		for (int i = 0; i < KEMU_MAX_HOLDS; i++) {
			struct kemu_hold *h = &s->k->hdr->holds[i];

			u64 state = load_acquire(&h->state);

			if (!state || h->point != point || !is_named(s->task, h->comm0, h->comm1))
				continue;
			store(&h->reached, 1);
			if (state != HOLD_ARMED)
				continue;
			if (s->task->locks && h->kind != HOLD_LOCKED)
				return KEMU_ATOMIC;
			/* The claim first: a namesake that comes too late must not sign. */
			if (cmpxchg(&h->state, HOLD_ARMED, HOLD_HELD) == HOLD_ARMED) {
				/* kemu_wait_while_held() has a full barrier: who ends the hold finds
				 * this to ring, or is found to have ended it. */
				store(&h->task, (u64)(s->thread - s->k->tasks));
				return kemu_wait_while_held(s);
			}
		}
	}
	return gate & GATE_JITTER ? jittered(s, gate) : KEMU_OK;
}

/* A point of a mechanism that is in C, by its name: looked up only if something is armed. */
int kemu_named_point(struct kemu_self *s, struct kemu_name *point)
{
	u64 index = load(&point->hint);
	int status;

	if (!(load(&s->k->hdr->gate) & (GATE_PANIC | GATE_TRACE | GATE_HOLD | GATE_JITTER)))
		return KEMU_OK;
	if (!kemu_is_symbol(s->k, point->name, index)) {
		status = kemu_symbol(s->k, point->name, strlen(point->name), &index);
		if (status < 0)
			return status;
		store(&point->hint, index);
	}
	return kemu_point(s, s->k->symbols + index * sizeof(struct kemu_symbol));
}
