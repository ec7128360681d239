/*
 * chooser.h - what the files of the chooser share: alternatives, and the words of a choice.
 *
 * chooser.c has the protocol.  At a choice one of several things may happen next.  Each is an
 * alternative, and has a number of one byte.  The plan is a list of these numbers.
 *
 *	ALT_CPU + c	CPU c does the step that it announced, or goes on after it idled
 *	ALT_IRQ + c	CPU c first takes the interrupts and the reschedule that are due there, and then
 *			announces its step again.  If only a timer that is not due yet remains, the
 *			clock goes forward to that timer first (CHOOSE_TICKS)
 *	ALT_DRAIN + c	a store leaves the store buffer of CPU c, and reaches memory (storebuffer.c)
 *	ALT_VALUE + n	the n-th of several values.  No CPU is chosen here: the step that was
 *			chosen before needs a value.  It is which older value a load returns, or
 *			whether a store goes into the buffer (1), or which of several stores leaves
 *			the buffer.  0 is what sequential consistency gives, or the first in
 *			the program
 *
 * What a choice offered, and what was taken, is in these words of the chooser, and then in the
 * record of the step that followed:
 *
 *	enabled		a bit for each CPU c of which ALT_CPU + c was offered
 *	due		a bit for each CPU c of which ALT_IRQ + c was offered
 *	drains		a bit for each CPU c of which ALT_DRAIN + c was offered
 *	values		how many ALT_VALUEs were offered; 0: this was a choice of a CPU
 *	alt		the alternative that was taken
 *	choice		the number of the choice; NO_CHOICE where there was one alternative only, or
 *			where the CPU must keep the baton
 *	before		the CPU that chose; KEMU_NOBODY at the first choice of a trial
 *
 * A choice is a preemption if ALT_CPU + before was offered and another was taken.  So an
 * interrupt that comes earlier than it must is a preemption, and so is a tick.  The bound of a search
 * also counts a value other than 0, and a drain at a time at which a CPU could go on (kemu/explore/
 * alternative.py).
 *
 * An interrupt that is due and not taken by ALT_IRQ is taken where the CPU opens itself to it:
 * when it next turns interrupts or preemption on, waits, or idles (cpu.c).
 *
 *	chooser.options	CHOOSE_IRQS: ALT_IRQ is offered for what is due
 *			CHOOSE_TICKS: ALT_IRQ is also offered for timers that are not due yet
 */
#ifndef KEMU_CHOOSER_H
#define KEMU_CHOOSER_H

#include "hardware.h"
#include "trial.h"

#define KEMU_NOBODY	KEMU_MAX_CPUS	/* no CPU, in the place of a CPU's number */
#define ALT_KIND	192		/* the bits of an alternative that say which kind it is */
#define ALT_WHICH	63		/* the bits that say which CPU, or which value */

/* The alternatives of a choice. */
struct kemu_offer { u64 enabled, due, drains, values; };

static inline bool kemu_offers(const struct kemu_offer *o, u64 alt)
{
	u64 mask = (alt & ALT_KIND) == ALT_CPU ? o->enabled : (alt & ALT_KIND) == ALT_IRQ ? o->due :
		   (alt & ALT_KIND) == ALT_DRAIN ? o->drains : 0;

	if (o->values)
		return alt >= ALT_VALUE && alt - ALT_VALUE < o->values;
	return mask >> (alt & ALT_WHICH) & 1;
}

/* chooser.c: the baton, and a step */
struct kemu_chooser *kemu_chooser_of(struct kemu *k);
void kemu_pass_baton(struct kemu *k, u64 next);
int kemu_await_baton(struct kemu_self *s);
int kemu_end_trial(struct kemu_self *s, struct kemu_chooser *ch);

/* choice.c: what happens next, and the record */
bool kemu_is_skipped(struct kemu *k, struct kemu_chooser *ch, u64 off);
u64 kemu_choose_cpu(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu);
void kemu_record(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu, u64 op, u64 task,
		 u64 off, u64 value);
void kemu_close_step(struct kemu *k, struct kemu_chooser *ch);
u64 kemu_choose_value(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 values);
struct kemu_step *kemu_last_step(struct kemu *k, struct kemu_chooser *ch);

/* enabled.c: what can happen next */
struct kemu_offer kemu_offer(struct kemu *k, struct kemu_chooser *ch);
bool kemu_advance_clock(struct kemu *k, struct kemu_chooser *ch);
void kemu_let_timer_expire(struct kemu *k, struct kemu_cpu *cpu);

/* rule.c: which of these happens */
u64 kemu_stay(const struct kemu_offer *offer, u64 me);
u64 kemu_decide(struct kemu_chooser *ch, const struct kemu_offer *offer, u64 me);

/* storebuffer.c: the memory models */
u64 kemu_drains(struct kemu *k, struct kemu_chooser *ch);
u64 kemu_view(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off);
void kemu_drain_all(struct kemu *k, struct kemu_chooser *ch, u64 me);
void kemu_drain_by_choice(struct kemu *k, struct kemu_chooser *ch, u64 me);
void kemu_order_step(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 op, u64 off);

/* history.c: older values */
void kemu_load_past(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, bool late);
void kemu_note_past(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 value);
void kemu_note_change(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off);
void kemu_raise_floor(struct kemu_chooser *ch, u64 me, u64 time);
void kemu_forget_past(struct kemu_chooser *ch, u64 me);

/* deadlock.c: no CPU can go on */
int kemu_stop_hung(struct kemu_self *s, const char *what);

#endif
