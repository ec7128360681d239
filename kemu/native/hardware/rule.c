/*
 * rule.c - which of the enabled CPUs goes on.
 *
 * The plan's own choices come first.  When they are used up, or name a CPU that cannot go
 * on (chooser.parted_at then says at which choice), one of three rules decides:
 *
 *	RULE_STAY	the CPU that runs, as long as it can; otherwise the next by number
 *	RULE_RANDOM	any enabled CPU, each as likely as the others, from the seed
 *	RULE_PCT	the highest priority.  At each of the planned changes the CPU that would
 *			go on gets a priority below all others (Burckhardt 2010)
 *
 * Locks: none.  The CPU that has the baton calls this, and writes the chooser's words.
 */
#include "chooser.h"

static u64 nth_bit(u64 mask, u64 n)
{
	while (n--)
		mask &= mask - 1;
	return (u64)__builtin_ctzll(mask);
}

/* The CPU that runs stays; otherwise the next one by number, so that each has its turn. */
static u64 stay(u64 enabled, u64 me)
{
	u64 after = me < KEMU_MAX_CPUS ? enabled & ~((2ULL << me) - 1) : 0;

	if (me < KEMU_MAX_CPUS && enabled >> me & 1)
		return me;
	return (u64)__builtin_ctzll(after ? after : enabled);
}

/* xorshift64*.  The seed is in the plan, so a plan gives the same schedule each time. */
static u64 at_random(struct kemu_chooser *ch, u64 enabled)
{
	u64 x = ch->seed ? ch->seed : 0x9e3779b97f4a7c15ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	ch->seed = x;
	return nth_bit(enabled, (x * 0x2545f4914f6cdd1dULL >> 33) % (u64)__builtin_popcountll(enabled));
}

static u64 first_by_priority(struct kemu_chooser *ch, u64 enabled)
{
	u64 best = (u64)__builtin_ctzll(enabled);

	for (u64 cpu = best + 1; cpu < KEMU_MAX_CPUS; cpu++)
		if (enabled >> cpu & 1 && ch->priorities[cpu] > ch->priorities[best])
			best = cpu;
	return best;
}

/* The n-th change gives the CPU priority n.  All CPUs begin above KEMU_MAX_CHANGES. */
static u64 by_priority(struct kemu_chooser *ch, u64 enabled)
{
	u64 best = first_by_priority(ch, enabled);

	for (u64 n = 0; n < KEMU_MAX_CHANGES; n++)
		if (ch->changes[n] == ch->nr_choices) {
			ch->priorities[best] = n;
			best = first_by_priority(ch, enabled);
		}
	return best;
}

/*
 * enabled: a bit for each CPU that can go on, of which there are at least two.  me: the CPU
 * that has run until now.  chooser.nr_choices: the number of this choice.
 */
u64 kemu_who_goes_on(struct kemu_chooser *ch, u64 enabled, u64 me)
{
	u64 number = ch->nr_choices;

	if (number < ch->nr_planned && number < KEMU_MAX_PLANNED) {
		u64 cpu = ch->planned[number];

		if (cpu < KEMU_MAX_CPUS && enabled >> cpu & 1)
			return cpu;
		if (ch->parted_at == KEMU_NO_CHOICE)
			ch->parted_at = number;
	}
	if (ch->rule == RULE_RANDOM)
		return at_random(ch, enabled);
	return ch->rule == RULE_PCT ? by_priority(ch, enabled) : stay(enabled, me);
}
