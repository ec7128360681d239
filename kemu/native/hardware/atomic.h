/*
 * atomic.h - loads, stores and read-modify-writes; the ordering is in the name.
 *
 * Shared memory is touched through these functions.  C code may read or write a word plainly,
 * as in cpu->poll_ns, in three cases only:
 *	the word is constant while any CPU runs (layout.h says so);
 *	only the calling CPU, or the calling task, ever touches it;
 *	the calling thread has formatted the memory, and no other thread has it yet.
 * A word that another thread may write at the same time is read with load(), also where its
 * value is only a hint: a plain read may be torn, repeated or merged by the compiler.
 *
 *	load, store		none (but never torn, never merged)
 *	load_acquire		before everything that follows
 *	store_release		after everything that precedes
 *	every xchg, cmpxchg, fetch_*	a full barrier on both sides, as in Linux
 *	smp_mb			a full barrier
 *	smp_wmb, smp_rmb	between stores, between loads
 */
#ifndef KEMU_ATOMIC_H
#define KEMU_ATOMIC_H

#include "layout.h"

static inline u64 load(const u64 *p)		{ return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline u64 load_acquire(const u64 *p)	{ return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store(u64 *p, u64 v)		{ __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void store_release(u64 *p, u64 v)	{ __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void smp_mb(void)			{ __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void smp_wmb(void)		{ __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void smp_rmb(void)		{ __atomic_thread_fence(__ATOMIC_ACQUIRE); }

/* On ARM64 a seq_cst read-modify-write orders only one side: a fence orders the other. */
#if defined(__x86_64__)
#define after_rmw() do { } while (0)
#else
#define after_rmw() smp_mb()
#endif

static inline u64 xchg(u64 *p, u64 v)
{
	u64 old = __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
	after_rmw();
	return old;
}

/* Returns the value before.  It equals `old` if and only if the exchange happened. */
static inline u64 cmpxchg(u64 *p, u64 old, u64 new)
{
	__atomic_compare_exchange_n(p, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	after_rmw();
	return old;
}

static inline u64 fetch_add(u64 *p, u64 v)
{
	u64 old = __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
	after_rmw();
	return old;
}

static inline u64 fetch_or(u64 *p, u64 v)
{
	u64 old = __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
	after_rmw();
	return old;
}

static inline u64 fetch_and(u64 *p, u64 v)
{
	u64 old = __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
	after_rmw();
	return old;
}

static inline void cpu_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#endif
