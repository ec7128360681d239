/*
 * trial.h - the words of a controlled trial: the plan, what happened, and each step.
 *
 * They lie in two blocks of the heap.  chooser.c and chooser.h say what the words mean.
 */
#ifndef KEMU_TRIAL_H
#define KEMU_TRIAL_H

#include "layout.h"

/*
 * What a trial is to do, and what it did: see chooser.c.  A block of the heap, which
 * header.chooser names; the plan's choices, a byte each, come after it.
 */
#define KEMU_CHOOSER_FIELDS(F)						\
	/* The plan.  Written by the referee, before the trial. */	\
	F(rule) F(seed) F(nr_planned) F(max_steps) F(options)		\
	F(record) F(start_point) F(done_point)				\
	/* What happened.  Written by the CPU that has the baton. */	\
	F(phase) F(nr_steps) F(nr_choices) F(writes) F(outcome)		\
	F(parted_at) F(strays) F(last) F(open)				\
	/* The present choice: see chooser.h. */			\
	F(alt) F(enabled) F(due) F(drains) F(values) F(choice) F(before)

/*
 * One step in the record.  chooser.h says what the fields from alt on mean.
 */
#define KEMU_STEP_FIELDS(F)						\
	F(op)			/* an enum kemu_op */			\
	F(cpu)			/* the CPU that did it */		\
	F(task)			/* the slot of the task */		\
	F(word)			/* the offset of the word */		\
	F(value)		/* what the operation was given */	\
	F(seen)			/* the word just before the step */	\
	F(after)		/* the word just after the step */	\
	F(flags)		/* a set of enum kemu_step_flags */	\
	F(alt) F(enabled) F(due) F(drains) F(values) F(choice) F(before)

/* step.flags */
enum kemu_step_flags {
	STEP_READS	= 1 << 0,	/* the step reads the word */
	STEP_WRITES	= 1 << 1,	/* the step writes the word */
	STEP_IRQS_ON	= 1 << 2,	/* interrupts are on before it: the CPU may take one */
	STEP_PREEMPTIBLE = 1 << 3,	/* preemption is on too: the CPU may take a reschedule */
};

/* Alternatives of a choice, a byte each: see chooser.h. */
enum kemu_alternatives {
	ALT_CPU		= 0,		/* + c */
	ALT_IRQ		= 64,		/* + c */
	ALT_DRAIN	= 128,		/* + c */
	ALT_VALUE	= 192,		/* + n */
};
#define KEMU_MAX_VALUES	62		/* how many values one choice may offer */

#define KEMU_MAX_SKIPS	16		/* ranges of words that are not a part of the trial */
#define KEMU_MAX_CHANGES 16		/* of priorities, in a PCT schedule */
#define KEMU_MAX_PLANNED 32768
#define KEMU_NO_CHOICE	0xffffffffULL	/* step.choice, where only one CPU could go on */

/* The rule that picks the next CPU when the plan's choices are used up. */
enum kemu_rule { RULE_STAY, RULE_RANDOM, RULE_PCT };

/* chooser.options */
enum kemu_options {
	CHOOSE_IRQS	= 1 << 0,	/* when a CPU takes what is due is a choice */
	CHOOSE_TICKS	= 1 << 1,	/* when a timer or a tick becomes due is one too */
};

/* chooser.outcome */
enum kemu_outcome {
	OUTCOME_RUNS,
	OUTCOME_QUIET,		/* every CPU idles, and nothing is due */
	OUTCOME_DEADLOCK,	/* no CPU can go on, and not all CPUs idle */
	OUTCOME_TOO_LONG,	/* the trial has more than max_steps steps */
};

struct kemu_step { KEMU_STEP_FIELDS(KEMU_WORD) };

struct kemu_chooser {
	KEMU_CHOOSER_FIELDS(KEMU_WORD)
	u64 skips[KEMU_MAX_SKIPS][2];		/* from, to */
	u64 priorities[ALT_VALUE];		/* of each alternative; a higher one goes first */
	u64 changes[KEMU_MAX_CHANGES];		/* at these choices a priority drops */
	unsigned char planned[KEMU_MAX_PLANNED];
};

#endif
