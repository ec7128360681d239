/*
 * wait.c - one look at whether a task is inactive, for wait_task_inactive().
 *
 * Linux: kernel/sched/core.c (wait_task_inactive).
 *
 * The look holds pi_lock and rq_lock, so on_cpu, on_rq and the state are those of one
 * moment.  The loop round it, which may sleep, is in Python.
 *
 * Locks: pi_lock, then rq_lock; interrupts off.  Python half: kernel/sched/wait.py.
 */
#include "sched.h"

/*
 * what: a set of LOOK_ bits; 0 means that p is off its CPU and off every runqueue, in the state
 * asked for.  state 0: any state will do.  switches: how often p has gone to sleep.
 */
int kemu_look_inactive(struct kemu_self *s, struct kemu_task *p, u64 state, u64 *what, u64 *switches)
{
	u64 flags = kemu_irq_save(s);
	struct kemu_cpu *rq;
	bool queued;
	int status = kemu_task_rq_lock(s, p, &rq);

	if (status < 0)
		return status;
	if (load(&s->k->hdr->gate) & GATE_TRACE)
		kemu_trace(s, EVENT_SCHED_WAIT_TASK, p, load(&p->prio), 0, 0);
	queued = load(&p->on_rq) || load(&p->flags) & PF_REBORN;	/* between two threads: it did not sleep */
	*what = (load(&p->on_cpu) ? LOOK_RUNNING : 0) | (queued ? LOOK_QUEUED : 0) |
		(state && load(&p->state) != state ? LOOK_OTHER_STATE : 0);
	*switches = load(&p->nvcsw);
	status = kemu_unlock(s, &rq->rq_lock);
	if (status >= 0)
		status = kemu_unlock(s, &p->pi_lock);
	if (status < 0)
		return status;
	kemu_irq_put(s, flags);
	return kemu_take_due(s);
}
