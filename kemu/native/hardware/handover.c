/*
 * handover.c - the least that a round trip between two cores can cost.  Two threads hand over to
 * each other four times, and do nothing in between.
 *
 * Latencies are compared with this floor.  Each thread is pinned to its core.
 *
 *	word	<- how often its sender has handed over: by the sender (release); the
 *		   receiver waits for a certain count (acquire)
 *	over	<- 1 when the time is up or a thread failed: by either thread (relaxed);
 *		   both leave their loops at the next look
 *
 * sleeping: the receiver sleeps in a futex instead of spinning.
 * Locks: none.  It uses nothing of a machine.  Caller: python/host.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hardware.h"

#define LOOK_EVERY	1024		/* spins between two looks at the clock */
#define NAP_NS		10000000	/* a futex sleep ends by itself, so that `over` is seen */

struct word { u32 count __attribute__((aligned(128))); };

struct game {
	struct word there, back;
	u64 cores[2], n, deadline, done, *took;
	int over, error;
	bool sleeping;
};

static void give(struct game *g, struct word *w)
{
	__atomic_fetch_add(&w->count, 1, __ATOMIC_RELEASE);
	if (g->sleeping)
		syscall(SYS_futex, &w->count, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool is_over(struct game *g)
{
	return __atomic_load_n(&g->over, __ATOMIC_RELAXED);
}

static void end(struct game *g)
{
	__atomic_store_n(&g->over, 1, __ATOMIC_RELAXED);
}

/* Waits for the count; false: the game is over. */
static bool take(struct game *g, struct word *w, u32 wanted)
{
	struct timespec nap = { 0, NAP_NS };
	u32 seen;

	for (u64 spins = 1; (seen = __atomic_load_n(&w->count, __ATOMIC_ACQUIRE)) != wanted; spins++) {
		if (g->sleeping)
			syscall(SYS_futex, &w->count, FUTEX_WAIT_PRIVATE, seen, &nap, NULL, 0);
		else
			cpu_pause();
		if (g->sleeping || spins % LOOK_EVERY == 0) {
			if (kemu_now() > g->deadline)
				end(g);
			if (is_over(g))
				return false;
		}
	}
	return true;
}

static bool pinned(struct game *g, int side)
{
	if (kemu_pin(0, g->cores[side]) == KEMU_OK)
		return true;
	__atomic_store_n(&g->error, errno, __ATOMIC_RELAXED);
	end(g);
	return false;
}

static void *worker(void *arg)
{
	struct game *g = arg;

	if (!pinned(g, 1))
		return NULL;
	for (u32 i = 1; i <= g->n; i++) {
		if (!take(g, &g->there, 2 * i - 1))	/* unparked */
			break;
		give(g, &g->back);			/* acknowledged */
		if (!take(g, &g->there, 2 * i))		/* asked to park */
			break;
		give(g, &g->back);			/* parked */
	}
	return NULL;
}

static void *caller(void *arg)
{
	struct game *g = arg;

	if (!pinned(g, 0))
		return NULL;
	for (u32 i = 1; i <= g->n; i++) {
		u64 began = kemu_now();

		give(g, &g->there);
		if (!take(g, &g->back, 2 * i - 1))
			break;
		give(g, &g->there);
		if (!take(g, &g->back, 2 * i))
			break;
		g->took[g->done++] = kemu_now() - began;
	}
	end(g);
	return NULL;
}

/*
 * Makes n round trips between two cores, or fewer if budget_ns is over first, and writes the
 * nanoseconds of each to took, and how many there are to done.  KEMU_OSERROR: errno says why.
 */
int kemu_handover(u64 core_a, u64 core_b, u64 n, u64 budget_ns, bool sleeping, u64 *took, u64 *done)
{
	struct game g = {
		.cores = { core_a, core_b }, .n = n, .deadline = kemu_now() + budget_ns,
		.took = took, .sleeping = sleeping,
	};
	pthread_t threads[2];
	int error = pthread_create(&threads[0], NULL, caller, &g);

	if (!error) {
		error = pthread_create(&threads[1], NULL, worker, &g);
		if (error)
			end(&g);
		else
			pthread_join(threads[1], NULL);
		pthread_join(threads[0], NULL);
	}
	errno = error ? error : g.error;
	*done = g.done;
	return errno ? KEMU_OSERROR : KEMU_OK;
}
