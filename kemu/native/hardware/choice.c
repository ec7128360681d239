/*
 * choice.c - one choice under control, and the record of the step that follows from it.
 *
 * The rules are in chooser.c.  The CPU that has the baton calls these.
 *
 *	chooser.phase	<- 1 when every CPU that could go on has come to its start point
 *	chooser.choice	<- the number of this choice; NO_CHOICE where only one CPU could go
 *			   on, or where a CPU must not switch
 *	chooser.before	<- the CPU that chose; KEMU_NOBODY at the first choice of a trial
 *	chooser.last	<- the CPU of the last step; KEMU_NOBODY before the first step
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

/* The CPU that goes on; KEMU_NOBODY if no CPU can. */
u64 kemu_choose_cpu(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu)
{
	u64 me = (u64)(cpu - k->cpus), enabled = kemu_enabled_cpus(k, ch), next;

	while (!enabled && (begins(k, ch) || kemu_advance_clock(k, ch)))
		enabled = kemu_enabled_cpus(k, ch);
	if (!enabled)
		return KEMU_NOBODY;
	ch->enabled = enabled;
	ch->choice = KEMU_NO_CHOICE;
	ch->before = ch->last == KEMU_NOBODY ? KEMU_NOBODY : me;
	if (ch->last != KEMU_NOBODY && keeps_baton(k, ch, cpu, enabled))
		return me;
	if (!(enabled & (enabled - 1)) || !ch->phase)
		return (u64)__builtin_ctzll(enabled);
	next = kemu_who_goes_on(ch, enabled, ch->before);
	ch->choice = ch->nr_choices++;
	return next;
}

static bool is_read(u64 op)
{
	return op == OP_LOAD || op == OP_WAIT || op >= OP_POINT;
}

/* Records the step that the CPU is about to do.  The CPU has the baton. */
void kemu_record(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu, u64 op, u64 task,
		   u64 off, u64 value)
{
	u64 *word = kemu_word(k, off);
	u64 place = ch->record + ch->nr_steps * sizeof(struct kemu_step);

	ch->writes += !is_read(op);
	if (!ch->phase)
		return;
	ch->last = (u64)(cpu - k->cpus);
	if (ch->nr_steps < ch->max_steps && place >= k->heap && place % sizeof(u64) == 0 &&
	    place + sizeof(struct kemu_step) <= k->heap_end)
		*(struct kemu_step *)(k->base + place) = (struct kemu_step) {
			.op = op, .cpu = ch->last, .task = task, .word = off, .value = value,
			.seen = word && op != OP_POINT ? load(word) : 0,
			.enabled = ch->enabled, .choice = ch->choice, .before = ch->before,
		};
	ch->nr_steps++;
}
