/*
 * rule.c - which of the alternatives of a choice is taken.
 *
 * The plan's own choices come first.  When they are used up, or name an alternative that is not
 * offered (chooser.parted_at then says at which choice), one of three rules decides:
 *
 *	RULE_STAY	the CPU that runs, as long as it can; otherwise the next by number.  The
 *			first value.  After KEMU_FAIR_AFTER choices, at every KEMU_TURN-th choice
 *			the next by number all the same
 *	RULE_RANDOM	any alternative, each as likely as the others, from the seed
 *	RULE_PCT	the highest priority.  At each of the planned changes the alternative that
 *			would be taken gets a priority below all others (Burckhardt 2010).  Of two
 *			values the second, if the CPU's priority is above that of its buffer: so a
 *			store stays in the buffer until no CPU of a higher priority can go on.  Under
 *			weak a value is drawn instead: no priorities put the later of two stores
 *			first.  After KEMU_FAIR_AFTER choices each choice is drawn
 *
 * KEMU_FAIR_AFTER is there because otherwise CPUs that poll, and write while they poll, would starve
 * the CPU that they wait for, and the trial would never end.
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

static u64 count(u64 mask)
{
	return (u64)__builtin_popcountll(mask);
}

/* The first CPU of the mask after me, so that each has its turn. */
static u64 next_after(u64 mask, u64 me)
{
	u64 after = me < KEMU_MAX_CPUS ? mask & ~((2ULL << me) - 1) : 0;

	return (u64)__builtin_ctzll(after ? after : mask);
}

/* A CPU takes an interrupt early, and a store buffer drains, only if no step can be done. */
u64 kemu_stay(const struct kemu_offer *o, u64 me)
{
	if (o->values)
		return ALT_VALUE;
	if (me < KEMU_MAX_CPUS && o->enabled >> me & 1)
		return ALT_CPU + me;
	if (o->enabled)
		return ALT_CPU + next_after(o->enabled, me);
	return o->due ? ALT_IRQ + next_after(o->due, me) : ALT_DRAIN + next_after(o->drains, me);
}

static u64 stay_or_turn(const struct kemu_chooser *ch, const struct kemu_offer *o, u64 me)
{
	if (ch->nr_choices >= KEMU_FAIR_AFTER && ch->nr_choices % KEMU_TURN == 0 && o->enabled)
		return ALT_CPU + next_after(o->enabled, me);
	return kemu_stay(o, me);
}

/* xorshift64*.  The seed is in the plan, so a plan gives the same schedule each time. */
static u64 draw(struct kemu_chooser *ch, u64 n)
{
	u64 x = ch->seed ? ch->seed : 0x9e3779b97f4a7c15ULL;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	ch->seed = x;
	return (x * 0x2545f4914f6cdd1dULL >> 33) % n;
}

static u64 at_random(struct kemu_chooser *ch, const struct kemu_offer *o)
{
	u64 cpus = count(o->enabled), due = count(o->due), n;

	if (o->values)
		return ALT_VALUE + draw(ch, o->values);
	n = draw(ch, cpus + due + count(o->drains));
	if (n < cpus)
		return ALT_CPU + nth_bit(o->enabled, n);
	n -= cpus;
	return n < due ? ALT_IRQ + nth_bit(o->due, n) : ALT_DRAIN + nth_bit(o->drains, n - due);
}

/* The alternative of the highest priority among those of one kind, or best. */
static u64 better(struct kemu_chooser *ch, u64 mask, u64 kind, u64 best)
{
	for (; mask; mask &= mask - 1) {
		u64 alt = kind + (u64)__builtin_ctzll(mask);

		if (best == KEMU_NO_CHOICE || ch->priorities[alt] > ch->priorities[best])
			best = alt;
	}
	return best;
}

static u64 first_by_priority(struct kemu_chooser *ch, const struct kemu_offer *o)
{
	u64 best = better(ch, o->enabled, ALT_CPU, KEMU_NO_CHOICE);

	return better(ch, o->drains, ALT_DRAIN, better(ch, o->due, ALT_IRQ, best));
}

/* The n-th change gives the alternative priority n.  All begin above KEMU_MAX_CHANGES, or at 0. */
static u64 by_priority(struct kemu_chooser *ch, const struct kemu_offer *o, u64 me)
{
	u64 best;

	if (ch->nr_choices >= KEMU_FAIR_AFTER || (o->values && ch->memory == MEMORY_WEAK))
		return at_random(ch, o);
	if (o->values)
		return ALT_VALUE + (ch->priorities[ALT_CPU + me] > ch->priorities[ALT_DRAIN + me]);
	best = first_by_priority(ch, o);
	for (u64 n = 0; n < KEMU_MAX_CHANGES; n++)
		if (ch->changes[n] == ch->nr_choices) {
			ch->priorities[best] = n;
			best = first_by_priority(ch, o);
		}
	return best;
}

/*
 * At least two alternatives are offered.  me: the CPU that has run until now.
 * chooser.nr_choices: the number of this choice.
 */
u64 kemu_decide(struct kemu_chooser *ch, const struct kemu_offer *o, u64 me)
{
	u64 number = ch->nr_choices;

	if (number < ch->nr_planned && number < KEMU_MAX_PLANNED) {
		u64 alt = ch->planned[number];

		if (kemu_offers(o, alt))
			return alt;
		if (ch->parted_at == KEMU_NO_CHOICE)
			ch->parted_at = number;
	}
	if (ch->rule == RULE_RANDOM)
		return at_random(ch, o);
	return ch->rule == RULE_PCT ? by_priority(ch, o, me) : stay_or_turn(ch, o, me);
}
