/*
 * chooser.h - what the files of the chooser share.  chooser.c has the protocol.
 */
#ifndef KEMU_CHOOSER_H
#define KEMU_CHOOSER_H

#include "hardware.h"

#define KEMU_NOBODY	KEMU_MAX_CPUS	/* no CPU, in the place of a CPU's number */

/* chooser.c: the baton, and a step */
struct kemu_chooser *kemu_chooser_of(struct kemu *k);
void kemu_pass_baton(struct kemu *k, u64 next);
int kemu_await_baton(struct kemu_self *s);
int kemu_end_trial(struct kemu_self *s, struct kemu_chooser *ch);

/* choice.c: which CPU goes on, and the record */
bool kemu_is_skipped(struct kemu *k, struct kemu_chooser *ch, u64 off);
u64 kemu_choose_cpu(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu);
void kemu_record(struct kemu *k, struct kemu_chooser *ch, struct kemu_cpu *cpu, u64 op, u64 task,
		 u64 off, u64 value);

/* enabled.c: which CPUs can go on */
u64 kemu_enabled_cpus(struct kemu *k, struct kemu_chooser *ch);
bool kemu_advance_clock(struct kemu *k, struct kemu_chooser *ch);

/* rule.c: which of these CPUs goes on */
u64 kemu_who_goes_on(struct kemu_chooser *ch, u64 enabled, u64 me);

/* deadlock.c: no CPU can go on */
int kemu_stop_hung(struct kemu_self *s, const char *what);

#endif
