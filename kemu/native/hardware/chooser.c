/*
 * chooser.c - under GATE_CONTROL one CPU runs at a time, and a plan says which.
 *
 * The baton is a word that names a CPU.  The thread that runs there goes on; the thread of
 * every other CPU sleeps.  Before each step, that is, before each operation of the gate, the
 * CPU announces the step and chooses the CPU that goes on.  Then it goes on itself, or passes
 * the baton and sleeps on its own bell.
 *
 *	header.baton	<- the CPU that goes on, plus one: by the CPU that has the baton
 *			   (release); read by the thread that waits for it (acquire)
 *	header.gate	|= GATE_CONTROL: by the referee, at rest, after it wrote the plan;
 *			   cleared by the CPU that finds that all CPUs are at rest again
 *	header.clock_ns	<- the time that tasks see: by the CPU that has the baton
 *	cpu.want...	<- the step that the CPU is about to do: by the CPU, before it chooses;
 *			   want = 0: by the CPU, when the baton has come back
 *	chooser, record	<- by the CPU that has the baton
 *
 * All of these are plain words.  A CPU releases the baton after its writes, and the next CPU
 * acquires the baton before its reads.  So the CPU that has the baton sees all that earlier
 * CPUs wrote.  A bell wakes the thread that is to go on (bell.c).
 *
 * A CPU is enabled, and may be chosen, if
 *
 *	it announced		and
 *	  a lock		  the lock is free (or the lock will refuse)
 *	  a wait for a word	  the word has changed, or an interrupt or a reschedule is due
 *	  a step of a poll	  some word was written since, or one of these is due
 *	  the start point	  no CPU that is not at its start point could go on
 *	  any other step	  -
 *	nothing, and idles	  something that ends its idling is due (cpu.c)
 *
 * During these the CPU keeps the baton, so they are not steps:
 *
 *	Python between two operations
 *	the switch from a task to the next on the same CPU, with the turn (cpu.c)
 *	the birth and the end of an OS thread
 *	an allocation, a symbol, a published function
 *	an operation on a word in the ranges that the plan skips: they are the referee's own
 *	all that a task does between its point "done" and its point "start": its steps are
 *	  recorded, but they are not choices
 *
 * A trial has two phases.  The first lasts until every CPU that is not idle has come to a start
 * point.  In it the chooser records no step and uses none of the plan's choices: the CPU that
 * runs stays.  From then on each step at which two CPUs are enabled is a choice.  A named point
 * is not a choice, because a switch there is the same as a switch before the next operation.
 *
 * Time stands still while a CPU can go on.  When no CPU can, the clock goes forward to the next
 * timer of a CPU that takes interrupts.  If there is no such timer either, the trial is over.
 * If every CPU then idles, the chooser clears GATE_CONTROL, and the machine is quiescent
 * (quiet.c).  Otherwise the machine is in a deadlock, and stops (deadlock.c).
 */
#include "chooser.h"

bool kemu_has_baton(struct kemu *k, struct kemu_cpu *cpu)
{
	return load_acquire(&k->hdr->baton) == (u64)(cpu - k->cpus) + 1;
}

/* NULL if header.chooser does not name a place in the heap: then no step is controlled. */
struct kemu_chooser *kemu_chooser_of(struct kemu *k)
{
	u64 off = load(&k->hdr->chooser);

	if (off < k->heap || off > k->heap_end || off % sizeof(u64) ||
	    k->heap_end - off < sizeof(struct kemu_chooser))
		return NULL;
	return (struct kemu_chooser *)(k->base + off);
}

struct waiter {
	struct kemu *k;
	struct kemu_cpu *cpu;
};

static bool my_baton(void *arg)
{
	struct waiter *w = arg;

	return kemu_has_baton(w->k, w->cpu) || !kemu_controlled(w->k);
}

/* Waits until the CPU that the thread runs on may go on. */
int kemu_await_baton(struct kemu_self *s)
{
	struct waiter w = { s->k, kemu_this_cpu(s) };
	void *host;
	int status;

	if (my_baton(&w))
		return KEMU_OK;
	host = kemu_host.release();
	status = kemu_sleep_until(s->k, &s->thread->bell, 0, KEMU_NEVER, my_baton, &w);
	kemu_host.acquire(host);
	return status;
}

/* Lets the thread go on that waits at the CPU, at a step or idle. */
void kemu_pass_baton(struct kemu *k, u64 next)
{
	struct kemu_cpu *cpu = &k->cpus[next];
	u64 slot = load(&cpu->want) ? load(&cpu->want_thread) : load(&cpu->idler) - 1;

	store_release(&k->hdr->baton, next + 1);
	kemu_notify(&kemu_task_at(k, slot)->bell);
}

int kemu_end_trial(struct kemu_self *s, struct kemu_chooser *ch)
{
	bool quiet = true;

	for (u64 i = 0; i < s->k->nr_cpus; i++)
		quiet &= !load(&s->k->cpus[i].want) && load(&s->k->cpus[i].idling) == CPU_IDLE;
	if (!quiet) {
		ch->outcome = OUTCOME_DEADLOCK;
		return kemu_stop_hung(s, "deadlock: no CPU can go on");
	}
	ch->outcome = OUTCOME_QUIET;
	store(&s->k->hdr->baton, 0);
	fetch_and(&s->k->hdr->gate, ~(u64)GATE_CONTROL);
	kemu_went_idle(s->k);
	return KEMU_OK;
}

/* Gives the baton to the CPU that is chosen.  Returns when this CPU has it again. */
static int take_part(struct kemu_self *s, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 next = kemu_choose_cpu(s->k, ch, cpu);

	if (next == KEMU_NOBODY)
		return kemu_end_trial(s, ch);
	if (ch->nr_steps > ch->max_steps) {
		ch->outcome = OUTCOME_TOO_LONG;
		return kemu_stop_hung(s, "no end: the trial has more steps than it may have");
	}
	if (next == (u64)(cpu - s->k->cpus))
		return KEMU_OK;
	kemu_pass_baton(s->k, next);
	return kemu_await_baton(s);
}

/* STEP_IRQS_ON, STEP_PREEMPTIBLE: what the CPU may take before the task's next step. */
static u64 may_take(struct kemu_self *s, struct kemu_cpu *cpu)
{
	if (load(&cpu->irqs_off))
		return 0;
	return STEP_IRQS_ON |
	       (load(&s->task->preempt_count) || s->rescheduling ? 0 : STEP_PREEMPTIBLE);
}

/* Says what the CPU is about to do, and comes back when the CPU may do it. */
static int announce(struct kemu_self *s, struct kemu_chooser *ch, u64 op, u64 off, u64 value)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	int status;

	store(&cpu->want_word, off);
	store(&cpu->want_value, op == OP_RELAX ? ch->writes : value);
	store(&cpu->want_flags, may_take(s, cpu));
	store(&cpu->want_task, kemu_slot(s->k, s->task));
	store(&cpu->want_thread, kemu_slot(s->k, s->thread));
	store(&cpu->want, op);
	status = take_part(s, ch, cpu);
	if (status >= 0)	/* otherwise the report says what the CPU wanted */
		store(&cpu->want, 0);
	return status;
}

/* The CPU takes what is due.  This is a step: it reads that something is due. */
static int take_early(struct kemu_self *s, struct kemu_chooser *ch)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	u64 *word = load(&cpu->ipi) || !load(&cpu->need_resched) ? &cpu->ipi : &cpu->need_resched;

	kemu_record(s->k, ch, cpu, OP_IRQ, kemu_slot(s->k, s->task), kemu_offset(s->k, word), 0);
	return kemu_host.take_pending();
}

/*
 * Called before a step of a task.  KEMU_OK: the task does the step now.  A step that may have to
 * wait is announced even if the plan skips its word.  If the CPU takes what is due first, other
 * tasks may run meanwhile, and the task may go on at another CPU: so it announces the step again.
 */
int kemu_choose(struct kemu_self *s, u64 op, u64 off, u64 value)
{
	struct kemu_chooser *ch = kemu_chooser_of(s->k);
	bool skipped, waits = op == OP_LOCK || op == OP_WAIT || op == OP_RELAX || op == OP_START;
	int status;

	if (!ch)
		return KEMU_OK;
	if (!kemu_has_baton(s->k, kemu_this_cpu(s))) {
		fetch_add(&ch->strays, 1);
		return KEMU_OK;
	}
	skipped = op != OP_POINT && op != OP_START && kemu_is_skipped(s->k, ch, off);
	if (skipped && !waits)
		return KEMU_OK;
	kemu_close_step(s->k, ch);
	while ((status = announce(s, ch, op, off, value)) == KEMU_OK && kemu_controlled(s->k) &&
	       (ch->alt & ALT_KIND) == ALT_IRQ) {
		status = take_early(s, ch);
		if (status < 0 || !kemu_controlled(s->k))
			return status;
		kemu_close_step(s->k, ch);
	}
	if (status >= 0 && ch->memory && ch->phase && !skipped && kemu_controlled(s->k))
		kemu_order_step(s->k, ch, (u64)(kemu_this_cpu(s) - s->k->cpus), op, off);
	/* A choice is recorded with the step that followed from it, whatever the step is. */
	if (status >= 0 && kemu_controlled(s->k) && (!skipped || ch->choice != KEMU_NO_CHOICE))
		kemu_record(s->k, ch, kemu_this_cpu(s), op, kemu_slot(s->k, s->task), off, value);
	return status;
}

/* A named point is recorded.  It is not a choice, except for the point where a trial begins. */
int kemu_choose_at_point(struct kemu_self *s, u64 point)
{
	struct kemu_chooser *ch = kemu_chooser_of(s->k);
	bool starts = ch && point == ch->start_point;
	int status;

	if (!ch)
		return KEMU_OK;
	if (starts)
		store(&s->task->unexplored, 0);
	status = kemu_choose(s, starts ? OP_START : OP_POINT, point, 0);
	if (point == ch->done_point && status >= 0)
		status = kemu_full_barrier(s);	/* until here its last stores are choices */
	if (point == ch->done_point)
		store(&s->task->unexplored, 1);
	return status;
}

/* The CPU has marked itself idle.  Another CPU goes on, or the trial is over. */
int kemu_idle_by_choice(struct kemu_self *s, struct kemu_cpu *cpu)
{
	struct kemu_chooser *ch = kemu_chooser_of(s->k);
	u64 next;

	if (!ch || !kemu_has_baton(s->k, cpu))
		return KEMU_OK;
	kemu_close_step(s->k, ch);
	kemu_drain_all(s->k, ch, (u64)(cpu - s->k->cpus));
	next = kemu_choose_cpu(s->k, ch, cpu);
	if (next == KEMU_NOBODY)
		return kemu_end_trial(s, ch);
	if (next != (u64)(cpu - s->k->cpus))
		kemu_pass_baton(s->k, next);
	return KEMU_OK;
}

/* The CPU goes on after it idled.  This is a step: it reads what ended the idling. */
void kemu_record_wakeup(struct kemu_self *s, struct kemu_cpu *cpu)
{
	struct kemu_chooser *ch = kemu_chooser_of(s->k);

	if (!ch || !kemu_has_baton(s->k, cpu))
		return;
	store(&cpu->want_flags, may_take(s, cpu));
	kemu_record(s->k, ch, cpu, OP_IDLE, kemu_slot(s->k, s->task),
		    kemu_offset(s->k, &cpu->need_resched), 0);
}
