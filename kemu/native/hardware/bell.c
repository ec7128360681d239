/*
 * bell.c - the one sleep and the one wake.
 *
 * A bell is a word: QUIET, RUNG or ASLEEP.  Each OS thread sleeps on its own.
 *
 *	the ringer			the sleeper
 *	  store what changed		  bell: QUIET -> ASLEEP  (cmpxchg, full)
 *	  xchg(bell, RUNG)  (full)	  FUTEX_WAIT while ASLEEP
 *	  was ASLEEP: FUTEX_WAKE	  xchg(bell, QUIET)  (full)
 *					  look at what may have changed
 *
 * Either the ringer's exchange comes before the sleeper's, which then fails and
 * looks again, or it finds ASLEEP and wakes.  A ring that comes late is only a
 * needless look.  Looking is the caller's condition, so a ring carries no news.
 *
 * A bell that is RUNG already is left alone, so that ringing one who polls does not take
 * the line of his cache that he polls.  With a full barrier before, to read RUNG is to come
 * before the sleeper's exchange to QUIET: after that one he sees what changed.
 *
 * FUTEX_WAIT may return because it was woken, because the word no longer says
 * ASLEEP, at the deadline, for a signal, or for nothing: in each case look.
 *
 * | may run beside -> | ring | sleep |
 * | ring              | -    | -     |
 * | sleep             | -    | X (one sleeper to a bell) |
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hardware.h"

#define YIELDS		20	/* each may cost a time slice: see watch.c */
#define NAP_NS		50000

u64 kemu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

/* True if a signal ended it. */
static bool futex_wait(u64 *word, u32 value, u64 deadline)
{
	struct timespec t = { (time_t)(deadline / 1000000000), (long)(deadline % 1000000000) };

	/* The mapping is shared: not FUTEX_PRIVATE.  The deadline is absolute. */
	return syscall(SYS_futex, (u32 *)word, FUTEX_WAIT_BITSET, value,
		       deadline >= KEMU_NEVER ? NULL : &t, NULL, FUTEX_BITSET_MATCH_ANY) &&
	       errno == EINTR;
}

void kemu_notify(u64 *bell)
{
	smp_mb();		/* what changed is stored: pairs with kemu_sleep_once() */
	if (load(bell) == BELL_NOTIFIED)
		return;
	if (xchg(bell, BELL_NOTIFIED) == BELL_ASLEEP)
		syscall(SYS_futex, (u32 *)bell, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* How every wait of a task begins: nobody waits while another waits for his kick. */
void *kemu_begin_wait(void)
{
	if (kemu_self.reschedules)
		kemu_deliver_kicks(&kemu_self);
	return kemu_host.release();
}

/* The one sleep: until rung, at most; the caller looks again.  True for a signal. */
bool kemu_sleep_once(u64 *bell, u64 deadline)
{
	bool signalled = cmpxchg(bell, BELL_QUIET, BELL_ASLEEP) == BELL_QUIET &&
			 futex_wait(bell, BELL_ASLEEP, deadline);

	xchg(bell, BELL_QUIET);
	return signalled;
}

/*
 * Waits until cond, polling for poll_ns before it sleeps.  KEMU_OK: cond holds.
 * KEMU_PENDING: the deadline has passed.  No interpreter's lock may be held.
 */
int kemu_sleep_until(struct kemu *k, u64 *bell, u64 poll_ns, u64 deadline,
		     kemu_cond cond, void *arg)
{
	u64 poll_until = poll_ns ? kemu_now() + poll_ns : 0;

	for (;;) {
		if (cond(arg))
			return KEMU_OK;
		if (load(&k->hdr->gate) & GATE_PANIC)
			return KEMU_STOPPED;
		if (deadline < KEMU_NEVER && kemu_now() >= deadline)
			return KEMU_PENDING;
		if (poll_until) {
			for (int i = 0; i < 32 && !cond(arg); i++)
				cpu_pause();
			if (kemu_now() >= poll_until)
				poll_until = 0;
			continue;
		}
		/* Signals are for the process's main thread, which is no task. */
		kemu_sleep_once(bell, deadline);
	}
}

/* One step of a wait that nobody can be asked to end: the awaited may share our core. */
void kemu_backoff(unsigned int round)
{
	struct timespec nap = { 0, NAP_NS };

	if (round < YIELDS)
		sched_yield();
	else
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

/* After header.gate has GATE_PANIC: nobody sleeps through it. */
void kemu_notify_all(struct kemu *k)
{
	for (u64 i = 0; i < k->nr_tasks; i++)
		if (load(&k->tasks[i].used))
			kemu_notify(&k->tasks[i].bell);
	for (u64 i = 0; i < k->nr_cpus; i++)
		kemu_notify(&k->cpus[i].monitor_bell);
}
