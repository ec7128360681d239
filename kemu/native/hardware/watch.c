/*
 * watch.c - a thread waits until another CPU changes a word.
 *
 * If its CPU has a host core to itself, the thread polls for a while.  Otherwise, and after
 * that, it sleeps.  It does not yield: a thread that yields a shared core is put behind every
 * thread that computes there, for a whole time slice, at each yield.  (With one such
 * neighbour: 360 hand-overs a second by yielding, 150,000 by sleeping.)
 *
 *	header.watchers	<- a bit for each CPU where a thread watches: by that thread
 *	cpu.idler	<- that thread, so that the kick of an interrupt ends its sleep too
 *	task.watching	<- the offset of the word: by the task's thread.  If the word is a lock,
 *			   see spinlock.c for the other writer.
 *
 *	the thread that changes the word	the thread that waits
 *	  change it				  idler, watching = ...
 *	  no watchers: done			  watchers |= this CPU  (full)
 *	  notify each thread that watches it	  look at the word, sleep on the bell
 *
 * The change may be a plain store that is still in the store buffer when its thread reads
 * watchers; then it notifies no thread.  A full barrier in every store would cost too much.
 * So the waiting thread only naps, and looks again after NAP_NS.  A notice makes the nap short.
 *
 * Locks: none.  Callers: spinlock.c, wakeup.c, Word.wait_while(), Word.relax_while().
 */
#include "hardware.h"

#define SPINS		200		/* polls with the interpreter's lock still held */
#define NAP_NS		500000

/* How long the calling thread may poll; 0 if its CPU shares a core or it is not a task. */
u64 kemu_poll_ns(struct kemu *k)
{
	struct kemu_self *s = &kemu_self;

	if (s->k != k || !s->task || kemu_this_cpu(s)->sharers > 1)
		return 0;
	return load(&k->hdr->poll_max_ns);
}

/* From here on a change of the word notifies the thread.  The interpreter's lock is released. */
void kemu_begin_watch(struct kemu_self *s, u64 *word)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);

	store(&cpu->idler, kemu_slot(s->k, s->thread) + 1);
	store_release(&s->thread->watching, kemu_offset(s->k, word));
	fetch_or(&s->k->hdr->watchers, 1ULL << (cpu - s->k->cpus));
}

/* The caller has cleared task.watching. */
void kemu_end_watch(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);

	fetch_and(&s->k->hdr->watchers, ~(1ULL << (cpu - s->k->cpus)));
	store(&cpu->idler, 0);
}

void kemu_nap(struct kemu_self *s)
{
	kemu_sleep_once(&s->thread->bell, kemu_now() + NAP_NS);
}

/* The thread that watches at the first CPU of the mask; removes that CPU.  NULL: none is left. */
struct kemu_task *kemu_next_watcher(struct kemu *k, u64 *mask)
{
	while (*mask) {
		u64 cpu = (u64)__builtin_ctzll(*mask), idler = load(&kemu_cpu_at(k, cpu)->idler);

		*mask &= *mask - 1;
		if (idler && idler <= k->nr_tasks)
			return &k->tasks[idler - 1];
	}
	return NULL;
}

/* After a change of a word, if header.watchers is not zero. */
void kemu_changed(struct kemu *k, u64 *word)
{
	u64 mask = load(&k->hdr->watchers), off = kemu_offset(k, word);
	struct kemu_task *t;

	while ((t = kemu_next_watcher(k, &mask)))
		if (load(&t->watching) == off)
			kemu_notify(&t->bell);
}

/* Whether anything except the word ends the wait. */
static int interrupted(struct kemu *k, struct kemu_self *s, struct kemu_task *whom)
{
	u64 gate = load(&k->hdr->gate);

	if (gate & GATE_PANIC)
		return KEMU_STOPPED;
	if (kemu_irq_pending(kemu_this_cpu(s)) || kemu_resched_due(s, kemu_this_cpu(s)))
		return KEMU_PENDING;
	if (gate & GATE_HOLD && whom)
		kemu_end_stall_of(k, whom);
	return KEMU_OK;
}

static int wait_as_task(struct kemu *k, struct kemu_self *s, u64 *word, u64 value,
			struct kemu_task *whom)
{
	u64 poll_ns = kemu_poll_ns(k), until = poll_ns ? kemu_now() + poll_ns : 0;
	bool watching = false;
	int status = KEMU_OK;

	while (load_acquire(word) == value && !(status = interrupted(k, s, whom))) {
		if (until) {
			for (int i = 0; i < 32 && load(word) == value; i++)
				cpu_pause();
			if (kemu_now() >= until)
				until = 0;
		} else if (!watching) {
			kemu_begin_watch(s, word);	/* and look once more */
			watching = true;
		} else {
			kemu_nap(s);
		}
	}
	if (watching) {
		store(&s->thread->watching, 0);
		kemu_end_watch(s);
	}
	return status;
}

/* A thread that is not a task has no bell: it yields a few times, then naps. */
static int wait_as_guest(struct kemu *k, u64 *word, u64 value, struct kemu_task *whom)
{
	for (unsigned int round = 0; load_acquire(word) == value; round++) {
		u64 gate = load(&k->hdr->gate);

		if (gate & GATE_PANIC)
			return KEMU_STOPPED;
		if (round > SPINS)
			return KEMU_SIGNAL;
		if (gate & GATE_HOLD && whom)
			kemu_end_stall_of(k, whom);
		kemu_backoff(round);
	}
	return KEMU_OK;
}

/*
 * Under control a wait is one step, which the CPU can do when the wait is over.  A wait for a
 * thread's turn is not a step: an OS thread is born or ends, and the CPU keeps the baton.
 */
static int wait_by_choice(struct kemu *k, struct kemu_self *s, u64 *word, u64 value)
{
	u64 off = kemu_offset(k, word), tasks = (u64)((char *)k->tasks - k->base);
	bool is_turn = off >= tasks && off < tasks + k->nr_tasks * sizeof(struct kemu_task) &&
		       (off - tasks) % sizeof(struct kemu_task) == offsetof(struct kemu_task, turn);
	void *host;
	int status;

	if (is_turn) {
		host = kemu_begin_wait();
		status = wait_as_guest(k, word, value, NULL);
		kemu_host.acquire(host);
		return status;
	}
	status = kemu_choose(s, OP_WAIT, off, value);
	return status < 0 || kemu_peek(s, k, word) != value ? status : KEMU_PENDING;
}

/*
 * Waits until the word does not have the value any more.  Use it for what another CPU is about
 * to do, not for what may take long.  Reads are acquires.  whom, if not NULL, is the task that
 * will change the word; if a script holds that task, the hold ends.  KEMU_PENDING: an interrupt
 * or a reschedule is due first.  KEMU_SIGNAL: the caller is not a task; it may handle its
 * signals and wait again.
 */
int kemu_wait_while(struct kemu *k, u64 *word, u64 value, struct kemu_task *whom)
{
	struct kemu_self *s = &kemu_self;
	bool task = s->k == k && s->task;
	void *host;
	int status;

	if (task && kemu_controlled(k))
		return wait_by_choice(k, s, word, value);
	for (int i = 0; i < (task && kemu_poll_ns(k) ? SPINS : 1); i++, cpu_pause())
		if (load_acquire(word) != value)
			return KEMU_OK;
	host = kemu_begin_wait();
	status = task ? wait_as_task(k, s, word, value, whom) : wait_as_guest(k, word, value, whom);
	kemu_host.acquire(host);
	return status;
}

/* One step of a loop that polls for more than the word.  It is short, and ends if the word changes. */
void kemu_relax_while(struct kemu_self *s, u64 *word, u64 value)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	void *host;

	if (kemu_controlled(s->k)) {	/* if the machine has stopped, the next operation says so */
		kemu_choose(s, OP_RELAX, kemu_offset(s->k, word), 0);
		return;
	}
	if (kemu_poll_ns(s->k)) {
		cpu_pause();
		return;
	}
	host = kemu_begin_wait();
	kemu_begin_watch(s, word);
	if (load_acquire(word) == value && !kemu_irq_pending(cpu) && !kemu_resched_due(s, cpu))
		kemu_nap(s);
	store(&s->thread->watching, 0);
	kemu_end_watch(s);
	kemu_host.acquire(host);
}
