/*
 * spinlock.c - a word that is zero, or one more than the slot of its owner.
 *
 * Taking it is a full barrier, freeing it a release: what was written under it
 * is seen by the next owner.  A waiter spins a little, then yields its host
 * core, since the owner may share it (see kemu_backoff()).  Not fair, but one
 * that has lost often says so in header.starving, and whoever frees that lock
 * stands back for it (kemu_spin_let_in()).
 *
 * The owner is a task and not a thread: a runqueue's lock is taken by the task
 * that switches away and freed by the task that comes (kemu_switch_to()).
 *
 * The raw form guards the allocators.  It has no task for an owner, is held
 * for a few instructions and never across another lock or a wait.
 */
#include "native.h"

#define PATIENCE 100	/* rounds lost before an owner is asked to stand back */
#define SPINS	200	/* a few microseconds: longer than any owner that runs needs */

static bool shares_core(struct kemu *k)
{
	struct kemu_self *s = &kemu_self;

	return s->k != k || !s->task || kemu_this_cpu(s)->sharers > 1;
}

int kemu_spin_lock(struct kemu *k, u64 *lock, u64 owner)
{
	u64 seen = cmpxchg(lock, 0, owner), off = (u64)((char *)lock - k->base);
	bool shared;
	void *host;
	int status = KEMU_OK;

	if (!seen)
		return KEMU_OK;
	if (seen == owner)
		return KEMU_RECURSION;
	shared = shares_core(k);
	for (int i = 0; i < (shared ? 0 : SPINS); i++, cpu_pause())
		if (!load(lock) && !cmpxchg(lock, 0, owner))
			return KEMU_OK;
	/* The owner may need the interpreter's lock that this thread holds. */
	host = kemu_begin_wait();
	for (unsigned int round = 0;; round++) {
		seen = load(lock);
		if (!seen && !(seen = cmpxchg(lock, 0, owner)))
			break;
		if (load(&k->hdr->gate) & GATE_PANIC) {
			status = KEMU_STOPPED;
			break;
		}
		if (load(&k->hdr->gate) & GATE_HOLD && seen <= k->nr_tasks && seen)
			kemu_polled_for(k, &k->tasks[seen - 1]);
		if (round == PATIENCE)
			store(&k->hdr->starving, off);
		kemu_backoff(k, round % PATIENCE, shared);
	}
	if (load(&k->hdr->starving) == off)
		cmpxchg(&k->hdr->starving, off, 0);
	kemu_host.acquire(host);
	return status;
}

/*
 * After an unlock, if a waiter starves for this lock: stand back until it, or somebody,
 * has it.  An owner that relocks in a loop, on the core of the waiter, would win for ever.
 */
void kemu_spin_let_in(struct kemu *k, u64 *lock)
{
	u64 off = (u64)((char *)lock - k->base);
	void *host;

	if (load(&k->hdr->starving) != off)
		return;
	host = kemu_host.release();
	for (unsigned int round = 0; round < PATIENCE && load(&k->hdr->starving) == off; round++) {
		if (load(lock) || load(&k->hdr->gate) & GATE_PANIC)
			break;
		kemu_backoff(k, round, true);
	}
	kemu_host.acquire(host);
}

int kemu_spin_unlock(u64 *lock, u64 owner)
{
	if (load(lock) != owner)
		return KEMU_NOTOWNER;
	store_release(lock, 0);
	return KEMU_OK;
}

static u64 owner_id(struct kemu_self *s)
{
	return (u64)(s->task - s->k->tasks) + 1;
}

/*
 * As a task takes it: preemption is off from before until after.  locks counts what a task
 * holds, for reports, for gate.c, and for kicks that wait until it holds none.
 */
int kemu_lock(struct kemu_self *s, u64 *lock)
{
	struct kemu_task *t = s->task;
	int status = kemu_step(s, OP_LOCK, lock, 0);

	if (unlikely(status < 0))
		return status;
	store(&t->preempt_count, t->preempt_count + 1);
	status = kemu_spin_lock(s->k, lock, owner_id(s));
	if (unlikely(status < 0))
		store(&t->preempt_count, t->preempt_count - 1);
	else
		t->locks++;
	return status;
}

/* What became due meanwhile is left to the caller: kemu_open(). */
int kemu_unlock(struct kemu_self *s, u64 *lock)
{
	struct kemu_task *t = s->task;
	int status = kemu_step(s, OP_UNLOCK, lock, 0);

	if (status >= 0)
		status = kemu_spin_unlock(lock, owner_id(s));
	if (unlikely(status < 0))
		return status;
	if (!--t->locks && unlikely(s->reschedules))
		kemu_deliver(s);
	store(&t->preempt_count, t->preempt_count - 1);
	if (unlikely(load(&s->k->hdr->starving)))
		kemu_spin_let_in(s->k, lock);
	return KEMU_OK;
}

void kemu_raw_lock(struct kemu *k, u64 *lock)
{
	for (unsigned int round = 0; cmpxchg(lock, 0, ~0ULL); round++) {
		/* A dead owner never frees it; the machine is gone, so take it. */
		if (load(&k->hdr->gate) & GATE_PANIC)
			return;
		kemu_backoff(k, round, true);
	}
}

void kemu_raw_unlock(u64 *lock)
{
	store_release(lock, 0);
}
