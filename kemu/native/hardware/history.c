/*
 * history.c - under the weak memory model a plain load may read an older value of a word.
 *
 * A load that a CPU executes early has read the word before other CPUs wrote it.  So each write
 * that reaches memory leaves the value before it here, and the chooser may give that value to a
 * later load (ALT_VALUE + n).
 *
 *	chooser.past	<- the last KEMU_MAX_PAST values that were overwritten, in the order in
 *			   which that happened; entry n lasted until time n + 1
 *	chooser.nr_past	<- how many there were ever: the time
 *	chooser.floors	<- for each CPU the time before which none of its loads can have been
 *			   executed: raised by smp_mb(), a lock and a read-modify-write to the
 *			   time, by an acquire and by smp_rmb() to when what was read was written
 *	chooser.loaded	<- for each CPU the latest time at which anything that it has read was
 *			   written: smp_rmb() raises the floor to this
 *	past.passed	<- a bit for each CPU that has read or written a newer value of the word
 *
 * A CPU may read an old value if it lasted beyond the CPU's floor, and if the CPU has seen no newer
 * value of that word.  So each word is coherent.  All CPUs see the stores in one order, that in
 * which they reach memory: the model is multi-copy atomic, as that of ARM64 is.  A load returns what
 * some CPU has stored before in the trial, so no CPU stores before its earlier loads are done: LB does
 * not show.  ARM64 allows it.
 *
 * A word may also be written by C code that leaves no entry.  Then the next value of the newest
 * entry is not what memory has, and no older value is given.
 *
 * Locks: none.  The CPU that has the baton calls these.
 */
#include "chooser.h"

#define UNKNOWN	(~0ULL)		/* the next value, where a read-modify-write is about to write it */
#define NONE	(~0ULL)

static struct kemu_past *entry(struct kemu_chooser *ch, u64 n)
{
	return &ch->past[n % KEMU_MAX_PAST];
}

/* The newest entry of the word before entry `from`; NONE if there is none. */
static u64 find(struct kemu_chooser *ch, u64 off, u64 from)
{
	u64 first = ch->nr_past > KEMU_MAX_PAST ? ch->nr_past - KEMU_MAX_PAST : 0;

	for (u64 n = from; n-- > first;)
		if (entry(ch, n)->word == off)
			return n;
	return NONE;
}

static void add(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 next)
{
	u64 *word = kemu_word(k, off);

	if (ch->memory != MEMORY_WEAK || !word)
		return;
	*entry(ch, ch->nr_past) = (struct kemu_past) {
		.word = off, .value = load(word), .next = next, .passed = 1ULL << me,
	};
	ch->nr_past++;
}

/* The CPU is about to write the value to memory. */
void kemu_note_past(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 value)
{
	add(k, ch, me, off, value);
}

/* The CPU is about to do a read-modify-write. */
void kemu_note_change(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off)
{
	add(k, ch, me, off, UNKNOWN);
}

/* The CPU's loads to come are executed after that time. */
void kemu_raise_floor(struct kemu_chooser *ch, u64 me, u64 time)
{
	if (ch->floors[me] < time)
		ch->floors[me] = time;
}

/* The CPU's loads to come are executed after this moment. */
void kemu_forget_past(struct kemu_chooser *ch, u64 me)
{
	kemu_raise_floor(ch, me, ch->nr_past);
}

/* The next older value that the CPU may read, and that differs: its entry, or NONE. */
static u64 older(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 from, u64 value)
{
	u64 n = find(ch, off, from), *word = kemu_word(k, off);

	if (n != NONE && from == ch->nr_past && entry(ch, n)->next != UNKNOWN &&
	    entry(ch, n)->next != load(word))
		return NONE;
	for (; n != NONE && n >= ch->floors[me] && !(entry(ch, n)->passed >> me & 1); n = find(ch, off, n))
		if (entry(ch, n)->value != value)
			return n;
	return NONE;
}

/* How many older values the CPU may read; the entry of each is in found[]. */
static u64 collect(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, u64 *found)
{
	u64 n = 0, at = ch->nr_past, value = ch->got;

	while (n < KEMU_MAX_VALUES - 1 && (at = older(k, ch, me, off, at, value)) != NONE) {
		found[n++] = at;
		value = entry(ch, at)->value;
	}
	return n;
}

/*
 * A load by that CPU: chooser.got, and since when it lasts.  late: it may be of an older value.
 */
void kemu_load_past(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, bool late)
{
	u64 found[KEMU_MAX_VALUES], *word = kemu_word(k, off), at = ch->nr_past, nr, n;

	ch->got = word ? load(word) : 0;
	if (ch->memory != MEMORY_WEAK)
		return;
	nr = late ? collect(k, ch, me, off, found) : 0;
	n = nr ? kemu_choose_value(k, ch, me, off, nr + 1) : 0;
	if (n) {
		at = found[n - 1];
		ch->got = entry(ch, at)->value;
		ch->way = WAY_OLDER;
	}
	at = find(ch, off, at);
	ch->got_since = at == NONE ? 0 : at + 1;
	if (at != NONE)
		entry(ch, at)->passed |= 1ULL << me;
	if (ch->loaded[me] < ch->got_since)
		ch->loaded[me] = ch->got_since;
}
