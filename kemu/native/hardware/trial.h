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
	F(record) F(start_point) F(done_point) F(memory)		\
	/* What happened.  Written by the CPU that has the baton. */	\
	F(phase) F(nr_steps) F(nr_choices) F(writes) F(outcome)		\
	F(parted_at) F(strays) F(last) F(open)				\
	/* The present choice: see chooser.h. */			\
	F(alt) F(enabled) F(due) F(drains) F(values) F(choice) F(before) \
	/* The memory model: see storebuffer.c and history.c. */	\
	F(way) F(got) F(got_since) F(nr_past)

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
	F(way)			/* how it was done: an enum kemu_way */	\
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

/* How a step was done. */
enum kemu_way {
	WAY_PLAIN,
	WAY_LATE,		/* a store that went into the CPU's buffer */
	WAY_OLDER,		/* a load that read an older value */
	WAY_OWN,		/* a load that read the CPU's own store, which is in the buffer */
};

/* chooser.memory: when a CPU sees what another stores (storebuffer.c). */
enum kemu_memory_model { MEMORY_SC, MEMORY_TSO, MEMORY_WEAK };

#define KEMU_MAX_BUFFERED 8		/* stores in the buffer of a CPU */
#define KEMU_MAX_PAST	256		/* older values that are kept */

/* A store that has not reached memory.  line: how many smp_wmb() of its CPU came before it. */
struct kemu_late { u64 word, value, task, line, release; };

/* A value that a word had, and the next one.  passed: the CPUs that may not read it any more. */
struct kemu_past { u64 word, value, next, passed; };

#define KEMU_MAX_SKIPS	16		/* ranges of words that are not a part of the trial */
#define KEMU_MAX_CHANGES 16		/* of priorities, in a PCT schedule */
#define KEMU_FAIR_AFTER	1500		/* choices of a trial that may starve a CPU */
#define KEMU_TURN	64		/* choices after which it is another CPU's turn then */
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
	/* For each CPU: see storebuffer.c and history.c. */
	u64 nr_late[KEMU_MAX_CPUS], lines[KEMU_MAX_CPUS], floors[KEMU_MAX_CPUS], loaded[KEMU_MAX_CPUS];
	unsigned char planned[KEMU_MAX_PLANNED];
	/* A trial begins with all of this unused: nr_late and nr_past say how much of it counts. */
	struct kemu_late late[KEMU_MAX_CPUS][KEMU_MAX_BUFFERED];
	struct kemu_past past[KEMU_MAX_PAST];
};

#endif
