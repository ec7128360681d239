/*
 * bell.c - the one place where a thread sleeps, and the one way to notify it.
 *
 * A bell is a word: QUIET, NOTIFIED or ASLEEP.  Each thread sleeps on its own bell.
 *
 *	the notifier			the sleeper
 *	  store what changed		  bell: QUIET -> ASLEEP  (cmpxchg, full)
 *	  xchg(bell, NOTIFIED)  (full)	  FUTEX_WAIT while ASLEEP
 *	  was ASLEEP: FUTEX_WAKE	  xchg(bell, QUIET)  (full)
 *					  look at what may have changed
 *
 * If the notifier's exchange comes first, the sleeper's cmpxchg fails, and the sleeper looks
 * again.  If it comes second, the notifier reads ASLEEP and wakes the sleeper.  A late notice
 * costs the sleeper one look.  The caller's condition decides whether the wait is over; a
 * notice says only that the thread should look.
 *
 * The notifier leaves a bell alone that is NOTIFIED already.  This leaves the cache line of a
 * polling sleeper in shared state.  The notifier has a full barrier before it reads the bell.
 * So if it reads NOTIFIED, the sleeper's exchange to QUIET comes later, and after it the
 * sleeper sees what changed.
 *
 * FUTEX_WAIT returns because the thread was woken, because the word is not ASLEEP any more, at
 * the deadline, for a signal, or spuriously.  In each case the sleeper looks.
 *
 * | may run beside -> | notify | sleep |
 * | notify            | yes    | yes   |
 * | sleep             | yes    | no: a bell has one sleeper |
 *
 * Locks: none.  Callers: all waits of the hardware; whatever ends one.
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

/* True if a signal ended the sleep. */
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

/* Every wait of a task begins here: it first sends the kicks that it put off. */
void *kemu_begin_wait(void)
{
	if (kemu_self.reschedules)
		kemu_deliver_kicks(&kemu_self);
	return kemu_host.release();
}

/* Sleeps until notified or until the deadline.  The caller looks again.  True: a signal came. */
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
		/* Signals are for the process's main thread, which is not a task. */
		kemu_sleep_once(bell, deadline);
	}
}

/* One step of a wait without a notifier.  The awaited thread may share this core. */
void kemu_backoff(unsigned int round)
{
	struct timespec nap = { 0, NAP_NS };

	if (round < YIELDS)
		sched_yield();
	else
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
}

/* The caller has set GATE_PANIC: every sleeping thread looks at it. */
void kemu_notify_all(struct kemu *k)
{
	for (u64 i = 0; i < k->nr_tasks; i++)
		if (load(&k->tasks[i].used))
			kemu_notify(&k->tasks[i].bell);
	for (u64 i = 0; i < k->nr_cpus; i++)
		kemu_notify(&k->cpus[i].monitor_bell);
}
