/*
 * state.c - a task sets a state that a late waker must not overwrite.
 *
 * Linux: include/linux/sched.h (set_special_state, 2018).
 *
 *	task.state	<- PARKED or DEAD: by the task itself, under its pi_lock
 *			<- RUNNING: by a waker, the last store under the same pi_lock
 *
 * A waker that matched an earlier state of the task holds pi_lock until it has stored
 * RUNNING.  So its store comes before this one, and not after it.
 *
 * Locks: pi_lock, interrupts off.  Python half: kernel/sched/state.py.
 */
#include "sched.h"

/* Caller is the task itself.  May take interrupts at its end. */
int kemu_set_special_state(struct kemu_self *s, u64 state)
{
	u64 flags = kemu_irq_save(s);
	int status = kemu_lock(s, &s->task->pi_lock);

	if (status < 0) {
		kemu_irq_put(s, flags);
		return status;
	}
	status = kemu_store_step(s, &s->task->state, state, false);
	if (status >= 0)
		status = kemu_unlock(s, &s->task->pi_lock);
	if (status < 0)
		return status;
	kemu_irq_put(s, flags);
	return kemu_take_due(s);
}
