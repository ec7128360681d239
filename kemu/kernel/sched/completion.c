/*
 * completion.c - a count of events, and a queue of tasks that wait for one each.
 *
 * Linux: kernel/sched/completion.c (complete, complete_all, wait_for_completion).
 *
 *	done		<- +1 for each event, or COMPLETE_ALL for good: under lock
 *			   -1 by the waiter that takes an event: under lock
 *	waiters		<- task.wait_next: linked by the waiter; unlinked by the task that wakes
 *			   it, or by the waiter itself when it finds an event: under lock
 *	task.state	<- UNINTERRUPTIBLE under lock, before the waiter frees the lock.  So
 *			   complete(), which wakes under the lock, finds the waiter asleep or
 *			   about to be
 *
 * The waiter needs the lock to return, so complete() may be its waker's last access to the
 * memory, apart from notifying a third thread (kemu_unlocked()).  A wake-up says nothing about
 * the event: the waiter looks at done again.
 *
 * Locks: the completion's, interrupts off; pi_lock nests inside.
 * Python half: kernel/sched/completion.py, which sets the timer of a wait with a time-out.
 */
#include "sched.h"

/* The completion at an offset, or NULL if it would not lie in the memory. */
static struct kemu_completion *completion_at(struct kemu *k, u64 off)
{
	if (!kemu_word(k, off) || !kemu_word(k, off + sizeof(struct kemu_completion) - sizeof(u64)))
		return NULL;
	return (struct kemu_completion *)(k->base + off);
}

static struct kemu_name lock_class = { "lock:Completion.lock", 0 };

static int lock(struct kemu_self *s, struct kemu_completion *x)
{
	int status = KEMU_OK;

	if (unlikely(load(&s->k->hdr->gate) & GATE_LOCKDEP))
		status = kemu_named_lock_used(s, &lock_class);
	return status < 0 ? status : kemu_lock(s, &x->lock);
}

static int lock_irq(struct kemu_self *s, struct kemu_completion *x)
{
	u64 flags = kemu_irq_save(s);
	int status = lock(s, x);

	if (status < 0)
		kemu_irq_put(s, flags);
	return status;
}

static int unlock_irq(struct kemu_self *s, struct kemu_completion *x)
{
	int status = kemu_unlock(s, &x->lock);

	if (status < 0)
		return status;
	kemu_irq_put(s, 0);
	return kemu_take_due(s);
}

/* KEMU_PENDING: no task waits. */
static int wake_first(struct kemu_self *s, struct kemu_completion *x)
{
	struct kemu *k = s->k;
	u64 head = kemu_offset(k, &x->waiters_next), node, slot;
	u64 first = kemu_offset(k, &k->tasks[0].wait_next);
	int status = kemu_list_next(k, head, &node);

	if (status < 0)
		return status;
	if (node == head)
		return KEMU_PENDING;
	slot = (node - first) / sizeof(struct kemu_task);
	if (node < first || slot >= k->nr_tasks)
		return KEMU_CORRUPT;
	status = kemu_list_del(k, node);
	if (status >= 0)
		status = kemu_try_to_wake_up(s, &k->tasks[slot], TASK_NORMAL);
	return status < 0 ? status : KEMU_OK;
}

/* Adds one event; with all, enough events for all waits to come.  Any context. */
int kemu_complete(struct kemu_self *s, u64 off, bool all)
{
	struct kemu_completion *x = completion_at(s->k, off);
	u64 flags;
	int status;

	if (!x)
		return KEMU_RANGE;
	flags = kemu_irq_save(s);
	status = lock(s, x);
	if (status < 0) {
		kemu_irq_put(s, flags);
		return status;
	}
	store(&x->done, all ? KEMU_COMPLETE_ALL : load(&x->done) + 1);
	do {
		status = wake_first(s, x);
	} while (all && status == KEMU_OK);
	if (status >= 0)
		status = kemu_unlock(s, &x->lock);
	if (status < 0)
		return status;
	kemu_irq_put(s, flags);
	return kemu_take_due(s);
}

/* Sleeps once.  The lock is held, and held again afterwards, unless a dead task is to be freed. */
static int sleep_once(struct kemu_self *s, struct kemu_completion *x, u64 *dead)
{
	struct kemu_task *me = s->task;
	u64 node = kemu_offset(s->k, &me->wait_next), next = load(&me->wait_next);
	int status = KEMU_OK;

	if (!next || next == node)
		status = kemu_list_add(s->k, kemu_offset(s->k, &x->waiters_next), node, true);
	if (status >= 0)
		status = kemu_store_step(s, &me->state, TASK_UNINTERRUPTIBLE, false);
	if (status < 0)
		return status;
	status = unlock_irq(s, x);
	if (status >= 0)
		status = kemu_schedule(s, false, dead);
	return status < 0 || *dead ? status : lock_irq(s, x);
}

/* Whether the wait is over: there is an event, or the deadline has passed. */
static bool over(struct kemu_completion *x, u64 deadline)
{
	return load(&x->done) || (deadline != KEMU_NEVER && kemu_clock(kemu_self.k) >= deadline);
}

/* Leaves the queue, and takes an event if there is one.  The lock is held. */
static int take(struct kemu_self *s, struct kemu_completion *x, bool *taken)
{
	u64 done = load(&x->done);
	int status = kemu_list_del(s->k, kemu_offset(s->k, &s->task->wait_next));

	if (status < 0)
		return status;
	store(&s->task->blocked_on, 0);
	if (done && done < KEMU_COMPLETE_ALL)
		store(&x->done, done - 1);
	*taken = done != 0;
	return KEMU_OK;
}

/*
 * Waits for an event and takes it.  May sleep.  KEMU_PENDING: the deadline has passed, and
 * no event has come; the caller has set a timer that wakes the task then.  With a dead task
 * to be freed it returns early, still in the queue: the caller calls it again.  Other
 * results are those of kemu_schedule().
 */
int kemu_wait_for_completion(struct kemu_self *s, u64 off, u64 deadline, u64 *dead)
{
	struct kemu_completion *x = completion_at(s->k, off);
	bool taken = false;
	int status;

	if (!x)
		return KEMU_RANGE;
	status = lock_irq(s, x);
	if (status >= 0 && !over(x, deadline))
		store(&s->task->blocked_on, off);
	while (status >= 0 && !over(x, deadline)) {
		status = sleep_once(s, x, dead);
		if (status < 0 || *dead)
			return status;
	}
	if (status >= 0)
		status = take(s, x, &taken);
	if (status >= 0)
		status = unlock_irq(s, x);
	return status < 0 || taken ? status : KEMU_PENDING;
}
