/*
 * storebuffer.c - the memory models of a search: when another CPU sees a store.
 *
 * chooser.memory says which model a controlled trial has.  Under MEMORY_SC a store takes effect
 * at once.  Under the other models each CPU has a buffer for its plain stores:
 *
 *	a store		  goes to memory at once, or into the buffer: the chooser says which
 *			  (ALT_VALUE 0 or 1).  If it must follow a store that is in the
 *			  buffer, it goes behind that one
 *	a load		  reads the newest store to the word in the CPU's own buffer; if there is
 *			  none, memory, or under weak an older value (history.c)
 *	ALT_DRAIN	  a store leaves the buffer and reaches memory.  It is a step of its own
 *	these empty	  a read-modify-write, smp_mb(), a lock, the CPU's going idle, and under tso
 *	  the buffer	  an interrupt.  A full buffer gives up its oldest store
 *
 * Which of two stores of a CPU must reach memory first:
 *
 *	tso		  the one that came first in the program
 *	weak		  the same, if both are to one word, if smp_wmb() stands between them, or if
 *			  the later one is a release.  An unlock is a release
 *
 *	chooser.nr_late	<- how many stores are in each CPU's buffer	these four: by the CPU that
 *	chooser.late	<- these stores, in program order		has the baton
 *	chooser.lines	<- how many smp_wmb() each CPU has executed
 *	chooser.way	<- how the step was done: for its record
 *
 * A context switch needs no rule: schedule() takes rq_lock, as Linux's does after a full barrier.
 * A CPU that goes idle has passed such a lock, and Linux's idle loop has a full barrier besides.
 * The store buffer of an x86 CPU is drained when it takes an interrupt (Intel's manual, volume 3,
 * "Store Buffer"); ARM64 promises no such thing, so under weak the stores stay.
 *
 * The model covers the operations of a Word, and the steps of the C mechanisms that call
 * kemu_store_step() and kemu_load_step().  All other words are sequentially consistent: those that
 * the plan skips, and those that a mechanism writes under a lock and no task reads without it.
 *
 * Locks: none.  The CPU that has the baton calls these.
 */
#include <string.h>

#include "chooser.h"

static u64 nr_late(struct kemu_chooser *ch, u64 me)
{
	return ch->nr_late[me] < KEMU_MAX_BUFFERED ? ch->nr_late[me] : KEMU_MAX_BUFFERED;
}

/* The chooser, if the calling task's operations follow a memory model now; otherwise NULL. */
static struct kemu_chooser *model(struct kemu_self *s, struct kemu *k)
{
	struct kemu_chooser *ch;

	if (s->k != k || !s->task || !kemu_controlled(k))
		return NULL;
	ch = kemu_chooser_of(k);
	return ch && ch->memory && ch->phase && kemu_has_baton(k, kemu_this_cpu(s)) ? ch : NULL;
}

static struct kemu_chooser *model_of(struct kemu_self *s, struct kemu *k, u64 *word)
{
	struct kemu_chooser *ch = model(s, k);

	return ch && !kemu_is_skipped(k, ch, kemu_offset(k, word)) ? ch : NULL;
}

static bool must_follow(struct kemu_chooser *ch, struct kemu_late *earlier, struct kemu_late *later)
{
	return ch->memory == MEMORY_TSO || later->release || earlier->word == later->word ||
	       earlier->line < later->line;
}

/* Whether the n-th store of the buffer may reach memory now. */
static bool may_drain(struct kemu_chooser *ch, u64 me, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (must_follow(ch, &ch->late[me][i], &ch->late[me][n]))
			return false;
	return true;
}

static void drain(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 n)
{
	struct kemu_late e = ch->late[me][n];
	u64 *word = kemu_word(k, e.word);

	memmove(&ch->late[me][n], &ch->late[me][n + 1], (nr_late(ch, me) - n - 1) * sizeof(e));
	ch->nr_late[me] = nr_late(ch, me) - 1;
	kemu_close_step(k, ch);
	kemu_record(k, ch, &k->cpus[me], OP_DRAIN, e.task, e.word, e.value);
	if (word) {
		kemu_note_past(k, ch, me, e.word, e.value);
		store(word, e.value);
	}
	kemu_close_step(k, ch);
}

/* The whole buffer reaches memory, and no other CPU comes in between. */
void kemu_drain_all(struct kemu *k, struct kemu_chooser *ch, u64 me)
{
	u64 choice = ch->choice, way = ch->way;

	ch->choice = KEMU_NO_CHOICE;	/* it belongs to the step that follows */
	ch->way = WAY_PLAIN;
	while (nr_late(ch, me))
		drain(k, ch, me, 0);
	ch->choice = choice;
	ch->way = way;
}

/* A store of that CPU was chosen.  If several may reach memory, the chooser says which one does. */
void kemu_drain_by_choice(struct kemu *k, struct kemu_chooser *ch, u64 me)
{
	u64 may[KEMU_MAX_BUFFERED], n = 0;

	ch->way = WAY_PLAIN;
	for (u64 i = 0; i < nr_late(ch, me); i++)
		if (may_drain(ch, me, i))
			may[n++] = i;
	drain(k, ch, me, may[n > 1 ? kemu_choose_value(k, ch, me, ch->late[me][0].word, n) : 0]);
}

/* A bit for each CPU whose buffer has a store. */
u64 kemu_drains(struct kemu *k, struct kemu_chooser *ch)
{
	u64 mask = 0;

	if (!ch->memory)
		return 0;
	for (u64 i = 0; i < k->nr_cpus; i++)
		if (nr_late(ch, i))
			mask |= 1ULL << i;
	return mask;
}

static bool finds_own(struct kemu_chooser *ch, u64 me, u64 off, u64 *value)
{
	for (u64 n = nr_late(ch, me); n--;)
		if (ch->late[me][n].word == off) {
			*value = ch->late[me][n].value;
			return true;
		}
	return false;
}

/* What a CPU reads from a word if no load is late: its own store, or memory. */
u64 kemu_view(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off)
{
	u64 *word = kemu_word(k, off), value = 0;

	if (ch->memory && finds_own(ch, me, off, &value))
		return value;
	return word ? load(word) : 0;
}

/* Whether a store of that CPU would have to wait for one that is in the buffer. */
static bool must_wait(struct kemu_chooser *ch, u64 me, struct kemu_late *e)
{
	for (u64 n = 0; n < nr_late(ch, me); n++)
		if (must_follow(ch, &ch->late[me][n], e))
			return true;
	return false;
}

/* A store is about to be done.  Whether it is a release, kemu_put() knows. */
static void order_store(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 off, bool explored)
{
	struct kemu_late e = { .word = off, .line = ch->lines[me] };

	if (must_wait(ch, me, &e) || (explored && kemu_choose_value(k, ch, me, off, 2)))
		ch->way = WAY_LATE;
}

/* Called when the CPU was chosen to do its step, before the step is recorded. */
void kemu_order_step(struct kemu *k, struct kemu_chooser *ch, u64 me, u64 op, u64 off)
{
	bool explored = !load(&kemu_task_at(k, load(&k->cpus[me].want_task))->unexplored);

	ch->way = WAY_PLAIN;
	if (op == OP_STORE) {
		order_store(k, ch, me, off, explored);
	} else if (op == OP_LOAD || op == OP_WAIT) {
		if (finds_own(ch, me, off, &ch->got)) {
			ch->got_since = 0;
			ch->way = WAY_OWN;
		} else {
			kemu_load_past(k, ch, me, off, explored && op == OP_LOAD);
		}
		if (op == OP_WAIT)	/* an acquire */
			kemu_raise_floor(ch, me, ch->got_since);
	} else if (op == OP_FENCE || op == OP_LOCK || (op >= OP_XCHG && op <= OP_AND)) {
		kemu_drain_all(k, ch, me);
		if (op >= OP_XCHG && op <= OP_AND)
			kemu_note_change(k, ch, me, off);
		kemu_forget_past(ch, me);
	}
}

static void put(struct kemu *k, struct kemu_chooser *ch, struct kemu_late e, u64 me, bool past)
{
	struct kemu_step *step = kemu_last_step(k, ch);

	if (ch->way != WAY_LATE && !must_wait(ch, me, &e)) {
		if (past)
			kemu_note_past(k, ch, me, e.word, e.value);
		store_release(kemu_word(k, e.word), e.value);
		return;
	}
	if (step)
		step->way = WAY_LATE;
	ch->way = WAY_PLAIN;
	if (nr_late(ch, me) == KEMU_MAX_BUFFERED)
		drain(k, ch, me, 0);
	ch->late[me][nr_late(ch, me)] = e;
	ch->nr_late[me]++;
}

static struct kemu_late as_late(struct kemu_self *s, struct kemu_chooser *ch, u64 *word, u64 value,
				bool release)
{
	return (struct kemu_late) {
		.word = kemu_offset(s->k, word), .value = value, .task = kemu_slot(s->k, s->task),
		.line = ch->lines[kemu_this_cpu(s) - s->k->cpus], .release = release,
	};
}

/* A store, after the gate: to memory or into the buffer. */
void kemu_put(struct kemu_self *s, struct kemu *k, u64 *word, u64 value, bool release)
{
	struct kemu_chooser *ch = model_of(s, k, word);

	if (ch)
		put(k, ch, as_late(s, ch, word, value, release), (u64)(kemu_this_cpu(s) - k->cpus), true);
	else if (release)
		store_release(word, value);
	else
		store(word, value);
}

/* An unlock, after the gate.  It is late only if it must follow a store that is late. */
void kemu_put_unlock(struct kemu_self *s, u64 *lock)
{
	struct kemu_chooser *ch = model_of(s, s->k, lock);

	if (ch)
		put(s->k, ch, as_late(s, ch, lock, 0, true), (u64)(kemu_this_cpu(s) - s->k->cpus), false);
	else
		store_release(lock, 0);
}

/* A load, after the gate. */
u64 kemu_get(struct kemu_self *s, struct kemu *k, u64 *word, bool acquire)
{
	struct kemu_chooser *ch = model_of(s, k, word);
	u64 me;

	if (!ch)
		return acquire ? load_acquire(word) : load(word);
	me = (u64)(kemu_this_cpu(s) - k->cpus);
	if (acquire)
		kemu_raise_floor(ch, me, ch->got_since);
	return ch->got;
}

/* What the calling CPU would read from the word.  Not a step. */
u64 kemu_peek(struct kemu_self *s, struct kemu *k, u64 *word)
{
	struct kemu_chooser *ch = model_of(s, k, word);

	return ch ? kemu_view(k, ch, (u64)(kemu_this_cpu(s) - k->cpus), kemu_offset(k, word)) : load(word);
}

/* smp_mb().  It is a step only if a store is in the buffer: otherwise no other CPU can tell. */
int kemu_full_barrier(struct kemu_self *s)
{
	struct kemu_chooser *ch = s->k ? model(s, s->k) : NULL;
	u64 me;

	smp_mb();
	if (!ch)
		return KEMU_OK;
	me = (u64)(kemu_this_cpu(s) - s->k->cpus);
	kemu_forget_past(ch, me);
	return nr_late(ch, me) ? kemu_choose(s, OP_FENCE, ch->late[me][0].word, 0) : KEMU_OK;
}

/* smp_wmb(): under tso stores keep their order without it. */
void kemu_write_barrier(struct kemu_self *s)
{
	struct kemu_chooser *ch = s->k ? model(s, s->k) : NULL;

	smp_wmb();
	if (ch)
		ch->lines[kemu_this_cpu(s) - s->k->cpus]++;
}

/* smp_rmb(): the loads to come are executed after those that the CPU has done. */
void kemu_read_barrier(struct kemu_self *s)
{
	struct kemu_chooser *ch = s->k ? model(s, s->k) : NULL;
	u64 me = ch ? (u64)(kemu_this_cpu(s) - s->k->cpus) : 0;

	smp_rmb();
	if (ch)
		kemu_raise_floor(ch, me, ch->loaded[me]);
}

/* The CPU takes an interrupt. */
void kemu_drain_at_interrupt(struct kemu_self *s)
{
	struct kemu_chooser *ch = model(s, s->k);

	if (ch && ch->memory == MEMORY_TSO)
		kemu_drain_all(s->k, ch, (u64)(kemu_this_cpu(s) - s->k->cpus));
}
