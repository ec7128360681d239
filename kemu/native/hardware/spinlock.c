/*
 * spinlock.c - a lock with an owner: 0, or 1 + the slot of the task that holds it.
 *
 * Taking the lock is a full barrier, and freeing it is a release: the next owner sees what
 * was written under the lock.  A waiter spins a little, then sleeps (watch.c).
 *
 * The owner is a task, not a thread: the task that switches away takes the lock of the
 * runqueue, and the task that comes frees it (kemu_switch_to()).
 *
 * The task that frees a lock notifies the thread that has watched it longest.  Before that
 * thread is awake, a running task may take the lock again.  This keeps the lock busy, but it
 * must come to an end.  So after PATIENCE losses the freeing task takes the lock for that
 * waiter, and then notifies the waiter.
 *
 *	task.watching	<- the lock's offset, then 0: by the waiter (cmpxchg)
 *			   the offset with HANDING set: by the task that has freed the lock
 *			   (cmpxchg), while it takes the lock for the waiter; then the offset
 *	task.watch_as	<- the owner that the lock is to have: by the waiter.  0: the thread
 *			   watches the word, which is not a lock (watch.c)
 *
 * A waiter does not leave while HANDING is set: otherwise the lock would belong to a task
 * that does not know it.
 *
 * The raw form guards the allocators.  It records no owner.  A thread holds it for a few
 * instructions, and never while it takes another lock or waits.
 *
 * Callers: python/spinlock.c, the C halves in kernel/sched; memory.c and heap.c use the raw form.
 */
#include "hardware.h"

#define SPINS	200	/* a few microseconds: longer than a running owner holds a lock */
#define PATIENCE 2	/* how often a notified waiter may find the lock taken again */
#define HANDING	1ULL	/* offsets are multiples of eight */
#define RAW_HELD ~0ULL	/* a raw lock's other value is zero */
#define RAW_ROUNDS 8000	/* half a second at least: see kemu_backoff() */

/* Takes the lock, or finds that the freeing task took it for this waiter. */
static bool has_lock(u64 *lock, u64 owner)
{
	u64 seen = load_acquire(lock);

	return seen == owner || (!seen && !cmpxchg(lock, 0, owner));
}

static void begin_queueing(struct kemu_self *s, u64 *lock, u64 owner)
{
	struct kemu_task *t = s->thread;

	store(&t->watch_as, owner);
	store(&t->watch_since, kemu_now());
	store(&t->lost, 0);
	kemu_begin_watch(s, lock);
}

static void end_queueing(struct kemu_self *s, u64 *lock)
{
	u64 off = kemu_offset(s->k, lock);

	for (unsigned int round = 0; cmpxchg(&s->thread->watching, off, 0) != off; round++)
		if (load(&s->k->hdr->gate) & GATE_PANIC)
			break;
		else
			kemu_backoff(round);
	store(&s->thread->watch_as, 0);
	kemu_end_watch(s);
}

/* One round of the wait.  If a script holds the owner at a point, that hold ends. */
static void wait_a_while(struct kemu *k, struct kemu_self *s, u64 *lock, u64 *until)
{
	u64 seen = load(lock);

	if (load(&k->hdr->gate) & GATE_HOLD && seen <= k->nr_tasks && seen)
		kemu_end_stall_of(k, &k->tasks[seen - 1]);
	if (*until) {
		for (int i = 0; i < 32 && load(lock); i++)
			cpu_pause();
		if (kemu_now() >= *until)
			*until = 0;
		return;
	}
	kemu_nap(s);
	store(&s->thread->lost, s->thread->lost + 1);
}

static int queue_for(struct kemu *k, u64 *lock, u64 owner)
{
	struct kemu_self *s = &kemu_self;
	u64 poll_ns = kemu_poll_ns(k), until = poll_ns ? kemu_now() + poll_ns : 0;
	bool queueing = false;
	int status = KEMU_OK;

	while (!has_lock(lock, owner)) {
		if (load(&k->hdr->gate) & GATE_PANIC) {
			status = KEMU_STOPPED;
			break;
		}
		if (load(lock) > k->nr_tasks) {		/* not a lock, or overwritten: no task will free it */
			status = KEMU_CORRUPT;
			break;
		}
		if (!until && !queueing) {
			begin_queueing(s, lock, owner);		/* and look once more */
			queueing = true;
			continue;
		}
		wait_a_while(k, s, lock, &until);
	}
	if (queueing && status != KEMU_STOPPED)		/* the report of a stopped machine names the waiters */
		end_queueing(s, lock);
	return status;
}

int kemu_spin_lock(struct kemu *k, u64 *lock, u64 owner)
{
	u64 seen = cmpxchg(lock, 0, owner);
	void *host;
	int status;

	if (!seen)
		return KEMU_OK;
	if (seen == owner)
		return KEMU_RECURSION;
	for (int i = 0; i < (kemu_poll_ns(k) ? SPINS : 0); i++, cpu_pause())
		if (!load(lock) && !cmpxchg(lock, 0, owner))
			return KEMU_OK;
	/* The owner may need the interpreter's lock that this thread holds. */
	host = kemu_begin_wait();
	status = queue_for(k, lock, owner);
	kemu_host.acquire(host);
	return status;
}

int kemu_spin_unlock(u64 *lock, u64 owner)
{
	if (load(lock) != owner)
		return KEMU_NOTOWNER;
	store_release(lock, 0);
	return KEMU_OK;
}

/* The task whose thread has watched the lock longest; NULL: none. */
static struct kemu_task *first_in_queue(struct kemu *k, u64 off)
{
	u64 mask = load(&k->hdr->watchers);
	struct kemu_task *t, *first = NULL;

	while ((t = kemu_next_watcher(k, &mask)))
		if (load_acquire(&t->watching) == off &&
		    (!first || load(&t->watch_since) < load(&first->watch_since)))
			first = t;
	return first;
}

/* After an unlock, if header.watchers is not zero. */
void kemu_unlocked(struct kemu *k, u64 *lock)
{
	u64 off = kemu_offset(k, lock);
	struct kemu_task *first = first_in_queue(k, off);

	if (!first)
		return;
	if (load(&first->watch_as) && load(&first->lost) >= PATIENCE && !load(lock) &&
	    cmpxchg(&first->watching, off, off | HANDING) == off) {
		cmpxchg(lock, 0, load(&first->watch_as));
		store_release(&first->watching, off);
	}
	kemu_notify(&first->bell);
}

static u64 owner_id(struct kemu_self *s)
{
	return kemu_slot(s->k, s->task) + 1;
}

/*
 * As a task takes it: preemption is off from before until after.  locks counts what a task
 * holds, for reports, for hold.c, and for kicks that wait until it holds none.
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

/* The caller takes what became due meanwhile: kemu_take_due(). */
int kemu_unlock(struct kemu_self *s, u64 *lock)
{
	struct kemu_task *t = s->task;
	int status = kemu_step(s, OP_UNLOCK, lock, 0);

	if (status >= 0 && unlikely(kemu_controlled(s->k)) && load(lock) == owner_id(s))
		kemu_put_unlock(s, lock);
	else if (status >= 0)
		status = kemu_spin_unlock(lock, owner_id(s));
	if (unlikely(status < 0))
		return status;
	if (!--t->locks && unlikely(s->reschedules))
		kemu_deliver_kicks(s);
	store(&t->preempt_count, t->preempt_count - 1);
	if (unlikely(load(&s->k->hdr->watchers)))
		kemu_unlocked(s->k, lock);
	return KEMU_OK;
}

/*
 * KEMU_CORRUPT: the word is not a raw lock's.  KEMU_STUCK: the caller is not a task, and the
 * owner has kept the lock for RAW_ROUNDS naps.  The controller must not wait for a process
 * that is stopped, nor for a word that no thread ever clears.
 */
int kemu_raw_lock(struct kemu *k, u64 *lock)
{
	u64 seen;

	for (unsigned int round = 0; (seen = cmpxchg(lock, 0, RAW_HELD)); round++) {
		/* A dead owner never frees the lock.  The machine has stopped, so go on without it. */
		if (load(&k->hdr->gate) & GATE_PANIC)
			return KEMU_OK;
		if (seen != RAW_HELD)
			return KEMU_CORRUPT;
		if (!kemu_self.task && round > RAW_ROUNDS)
			return KEMU_STUCK;
		kemu_backoff(round);
	}
	return KEMU_OK;
}

void kemu_raw_unlock(u64 *lock)
{
	store_release(lock, 0);
}
