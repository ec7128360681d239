/*
 * enabled.c - what can happen next under control, and how time goes forward when no CPU can go on.
 *
 * The rules are in chooser.c.  The CPU that has the baton calls these; every other CPU
 * stands still at the step that it announced, or idles, so nothing changes meanwhile.
 */
#include "chooser.h"

#define POLL_STEP_NS	1000000	/* the clock's step when every CPU polls or idles */

/* The time that tasks see, in nanoseconds. */
u64 kemu_clock(struct kemu *k)
{
	return k && kemu_controlled(k) ? load(&k->hdr->clock_ns) : kemu_now();
}

/* Whether the CPU could take something before the step that it announced: what is due, or a timer. */
static bool is_due(struct kemu *k, struct kemu_cpu *cpu, bool timers)
{
	u64 flags = load(&cpu->want_flags), event = load(&cpu->next_event);

	if (!(flags & STEP_IRQS_ON))
		return false;
	return load(&cpu->ipi) || (flags & STEP_PREEMPTIBLE && load(&cpu->need_resched)) ||
	       (event < KEMU_NEVER && (timers || load(&k->hdr->clock_ns) >= event));
}

static bool is_idle_over(struct kemu_cpu *cpu)
{
	return load(&cpu->idling) == CPU_IDLE &&
	       (kemu_idle_must_end(cpu) || kemu_irq_pending(cpu));
}

static bool is_lock_free(struct kemu *k, struct kemu_cpu *cpu, u64 seen)
{
	return !seen || seen == load(&cpu->want_task) + 1 || seen > k->nr_tasks;
}

static bool is_enabled(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 op = load(&cpu->want), *word = op ? kemu_word(k, load(&cpu->want_word)) : NULL;

	if (!op)
		return is_idle_over(cpu);
	if (op == OP_START)
		return ch->phase;
	if (op == OP_TURN)
		return load(&cpu->want_value);
	if (op == OP_LOCK)
		return !word || is_lock_free(k, cpu, kemu_view(k, ch, (u64)(cpu - k->cpus), load(&cpu->want_word)));
	if (op == OP_WAIT)
		return !word || kemu_view(k, ch, (u64)(cpu - k->cpus), load(&cpu->want_word)) != load(&cpu->want_value) || is_due(k, cpu, false);
	if (op == OP_RELAX)
		return ch->writes != load(&cpu->want_value) || is_due(k, cpu, false);
	return true;
}

/*
 * Whether ALT_IRQ is offered.  It is not if the CPU goes on only because something is due: then
 * it takes that anyway.
 */
static bool may_take_early(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 op = load(&cpu->want), off = load(&cpu->want_word);

	if (!op || op == OP_START || op == OP_TURN || op == OP_POINT ||
	    load(&kemu_task_at(k, load(&cpu->want_task))->unexplored) ||
	    !is_due(k, cpu, ch->options & CHOOSE_TICKS))
		return false;
	if (op == OP_WAIT)
		return kemu_view(k, ch, (u64)(cpu - k->cpus), off) != load(&cpu->want_value);
	return op != OP_RELAX || ch->writes != load(&cpu->want_value);
}

/* What can happen next. */
struct kemu_offer kemu_offer(struct kemu *k, struct kemu_chooser *ch)
{
	struct kemu_offer o = { .drains = kemu_drains(k, ch) };

	for (u64 i = 0; i < k->nr_cpus; i++) {
		if (is_enabled(k, ch, &k->cpus[i]))
			o.enabled |= 1ULL << i;
		if (ch->options && ch->phase && may_take_early(k, ch, &k->cpus[i]))
			o.due |= 1ULL << i;
	}
	return o;
}

/* The CPU is about to take what is due there.  If nothing is, its next timer becomes due. */
void kemu_let_timer_expire(struct kemu *k, struct kemu_cpu *cpu)
{
	u64 event = load(&cpu->next_event);

	if (!is_due(k, cpu, false) && event < KEMU_NEVER && event > load(&k->hdr->clock_ns))
		store(&k->hdr->clock_ns, event);
}

/* Whether a timer would let the CPU go on. */
static bool heeds_timers(struct kemu_cpu *cpu)
{
	u64 op = load(&cpu->want);

	return !load(&cpu->irqs_off) && load(&cpu->next_event) < KEMU_NEVER &&
	       (op ? op == OP_WAIT || op == OP_RELAX : load(&cpu->idling) == CPU_IDLE);
}

/* No CPU can go on: the clock goes forward.  False if no timer is set and no CPU polls. */
bool kemu_advance_clock(struct kemu *k, struct kemu_chooser *ch)
{
	u64 next = KEMU_NEVER;
	bool polls = false;

	for (u64 i = 0; i < k->nr_cpus; i++) {
		struct kemu_cpu *cpu = &k->cpus[i];

		if (heeds_timers(cpu) && load(&cpu->next_event) < next)
			next = load(&cpu->next_event);
		polls |= load(&cpu->want) == OP_RELAX;
	}
	if (next == KEMU_NEVER && !polls)
		return false;
	if (next < KEMU_NEVER) {
		if (next > load(&k->hdr->clock_ns))
			store(&k->hdr->clock_ns, next);
	} else {
		store(&k->hdr->clock_ns, load(&k->hdr->clock_ns) + POLL_STEP_NS);
		ch->writes++;
	}
	return true;
}
