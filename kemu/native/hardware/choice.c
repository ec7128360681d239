/*
 * choice.c - one choice under control, and the record of the step that follows from it.
 *
 * The rules are in chooser.c.  The CPU that has the baton calls these.
 *
 *	chooser.phase	<- 1 when every CPU that could go on has come to its start point
 *	chooser.alt ... before	<- the present choice: see chooser.h
 *	chooser.last	<- the CPU of the last step; KEMU_NOBODY before the first step
 *	chooser.open	<- 1: the last step of the record has no word after it yet
 *	chooser.writes	<- counts the steps that write: a CPU that polls waits for one
 */
#include "chooser.h"

/*
 * Whether the word is not a part of the trial: it never changes, or it belongs to a symbol or to
 * the referee.
 */
bool kemu_is_skipped(struct kemu *k, struct kemu_chooser *ch, u64 off)
{
	if (off < offsetof(struct kemu_header, gate) || (off >= k->symbols && off < k->rings))
		return true;
	for (int i = 0; i < KEMU_MAX_SKIPS && ch->skips[i][1]; i++)
		if (off >= ch->skips[i][0] && off < ch->skips[i][1])
			return true;
	return false;
}

static bool begins(struct kemu *k, struct kemu_chooser *ch)
{
	bool waits = false;

	for (u64 i = 0; i < k->nr_cpus; i++)
		waits |= load(&k->cpus[i].want) == OP_START;
	if (ch->phase || !waits)
		return false;
	ch->phase = 1;
	ch->last = KEMU_NOBODY;
	return true;
}

/* Whether the CPU that has the baton keeps it although others could go on. */
static bool keeps_baton(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu, u64 enabled)
{
	if (!(enabled >> (cpu - k->cpus) & 1))
		return false;
	if (!ch->phase)
		return true;
	return load(&cpu->want) && (kemu_is_skipped(k, ch, load(&cpu->want_word)) ||
				    load(&kemu_task_at(k, load(&cpu->want_task))->unexplored));
}

static u64 take(struct kemu *k, struct kemu_chooser *ch, u64 alt)
{
	u64 which = alt & ALT_WHICH;

	ch->alt = alt;
	if ((alt & ALT_KIND) == ALT_IRQ)
		kemu_let_timer_expire(k, &k->cpus[which]);
	return which;
}

static bool is_one(const struct kemu_offer *o)
{
	return __builtin_popcountll(o->enabled) + __builtin_popcountll(o->due) +
	       __builtin_popcountll(o->drains) == 1;
}

/* A CPU that goes on, or a store that reaches memory: chooser.alt.  KEMU_NOBODY if nothing can happen. */
static u64 choose(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 me = (u64)(cpu - k->cpus);
	struct kemu_offer o = kemu_offer(k, ch);

	while (!(o.enabled | o.due | o.drains) && (begins(k, ch) || kemu_advance_clock(k, ch)))
		o = kemu_offer(k, ch);
	if (!(o.enabled | o.due | o.drains))
		return KEMU_NOBODY;
	ch->enabled = o.enabled;
	ch->due = o.due;
	ch->drains = o.drains;
	ch->values = 0;
	ch->choice = KEMU_NO_CHOICE;
	ch->before = ch->last == KEMU_NOBODY ? KEMU_NOBODY : me;
	if (ch->last != KEMU_NOBODY && keeps_baton(k, ch, cpu, o.enabled))
		return take(k, ch, ALT_CPU + me);
	if (!ch->phase)		/* in turn: two CPUs that poll for a third would starve it */
		return take(k, ch, kemu_stay(&o, me));
	if (is_one(&o) && !o.due)
		return take(k, ch, o.enabled ? (u64)__builtin_ctzll(o.enabled) :
			    ALT_DRAIN + (u64)__builtin_ctzll(o.drains));
	me = kemu_decide(ch, &o, ch->before);
	ch->choice = ch->nr_choices++;
	return take(k, ch, me);
}

/* The CPU that goes on; KEMU_NOBODY if no CPU can.  Stores that are chosen before reach memory. */
u64 kemu_choose_cpu(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 next;

	while ((next = choose(k, ch, cpu)) != KEMU_NOBODY && (ch->alt & ALT_KIND) == ALT_DRAIN)
		kemu_drain_by_choice(k, ch, next);
	return next;
}

/*
 * Which of so many values: see chooser.h.  The choice of the CPU, if it was one, is recorded first, as
 * a step of its own that touches nothing.
 */
u64 kemu_choose_value(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 values)
{
	struct kemu_offer o = { .values = values < KEMU_MAX_VALUES ? values : KEMU_MAX_VALUES };

	if (ch->choice != KEMU_NO_CHOICE)
		kemu_record(k, ch, &k->cpus[me], OP_PICK, load(&k->cpus[me].want_task), off, 0);
	ch->enabled = ch->due = ch->drains = 0;
	ch->values = o.values;
	ch->before = me;
	ch->alt = kemu_decide(ch, &o, me);
	ch->choice = ch->nr_choices++;
	return ch->alt - ALT_VALUE;
}

/* STEP_READS and STEP_WRITES of an operation. */
static u64 access_of(u64 op)
{
	switch (op) {
	case OP_LOAD: case OP_WAIT: case OP_RELAX: case OP_IDLE: case OP_IRQ:
		return STEP_READS;
	case OP_STORE: case OP_UNLOCK: case OP_TURN: case OP_DRAIN:
		return STEP_WRITES;
	case OP_POINT: case OP_START: case OP_PICK: case OP_FENCE:
		return 0;
	default:
		return STEP_READS | STEP_WRITES;
	}
}

/* The last step in the record, or NULL. */
struct kemu_step *kemu_last_step(struct kemu *k, struct kemu_chooser *ch)
{
	u64 place = ch->record + (ch->nr_steps - 1) * sizeof(struct kemu_step);

	if (!ch->nr_steps || ch->nr_steps > ch->max_steps || place < k->heap ||
	    place % sizeof(u64) || place + sizeof(struct kemu_step) > k->heap_end)
		return NULL;
	return (struct kemu_step *)(k->base + place);
}

/* The CPU that did the last step comes to its next one: now the word is as the step left it. */
void kemu_close_step(struct kemu *k, struct kemu_chooser *ch)
{
	struct kemu_step *step = ch->open ? kemu_last_step(k, ch) : NULL;
	u64 *word = step ? kemu_word(k, step->word) : NULL;

	ch->open = 0;
	if (word && step->flags & STEP_WRITES)
		step->after = load(word);
}

/* Records the step that the CPU is about to do.  The CPU has the baton. */
void kemu_record(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu, u64 op, u64 task,
		 u64 off, u64 value)
{
	u64 *word = kemu_word(k, off), access = access_of(op), seen;
	struct kemu_step *step;

	ch->writes += !!(access & STEP_WRITES);
	if (!ch->phase)
		return;
	ch->last = (u64)(cpu - k->cpus);
	ch->nr_steps++;
	ch->open = 1;
	step = kemu_last_step(k, ch);
	if (!step)
		return;
	seen = word && access ? load(word) : 0;
	if (ch->way == WAY_OLDER || ch->way == WAY_OWN)
		seen = ch->got;
	*step = (struct kemu_step) {
		.op = op, .cpu = ch->last, .task = task, .word = off, .value = value,
		.seen = seen, .after = seen, .flags = access | load(&cpu->want_flags),
		.alt = ch->alt, .enabled = ch->enabled, .due = ch->due, .drains = ch->drains,
		.values = ch->values, .way = ch->way, .choice = ch->choice, .before = ch->before,
	};
}
