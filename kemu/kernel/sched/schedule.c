/*
 * schedule.c - a CPU goes from one task to the next; a task's thread stands in for swapper.
 *
 * Linux: kernel/sched/core.c (__schedule, context_switch, finish_task_switch) and idle.c.
 *
 *	the task that goes			the task that comes
 *	  lock rq_lock
 *	  off the runqueue, unless RUNNING
 *	    or preempted: on_rq = 0
 *	  need_resched = 0; curr, on_cpu = 1
 *	    of the task that comes
 *	  the turn (release), with rq_lock  ->	  takes the turn (acquire)
 *						  on_cpu = 0 of the one that went (release):
 *						    its wakers wait for it (acquire)
 *						  unlock rq_lock
 *
 * Every task, swapper too, is therefore switched out with a preempt_count of 2: one for its
 * own schedule(), one for the lock.  This CPU clears need_resched under the lock under which
 * other CPUs set it, before it leaves the queues.  So no request is lost.
 *
 * When a task blocks and nothing else can run, the task's own thread runs as swapper
 * (idle_in_place), and swapper's thread sleeps on.  All other CPUs see that swapper runs.  If
 * the task's turn comes on this CPU, no thread has to be switched.  If it comes on another CPU,
 * swapper's own thread takes the duty over (kemu_resign()).  That CPU cannot wait for it with its
 * rq_lock held, since the stand-in may be in an interrupt that wants the lock.  There the task
 * that goes unlocks rq_lock and stores its own on_cpu = 0 (leave_to_stand_in()).
 *
 * The thread of a dead task does not wait for a turn, because another task may soon have its
 * slot.  The task that comes next gets the slot (dead: the slot plus one), and frees it.
 *
 * Locks: rq_lock, interrupts off.  Python half: kernel/sched/schedule.py.
 */
#include "sched.h"

/* The task that comes finishes the switch from the task that went.  May take interrupts at its end. */
int kemu_finish_switch(struct kemu_self *s, u64 last, u64 *dead)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct kemu_task *prev = kemu_task_at(s->k, last);
	bool died;
	int status;

	if (last == KEMU_TURN_IDLE)	/* a stand-in resigned: it had finished, and held no lock */
		return KEMU_OK;
	if (last >= KEMU_TURN_FINISHED) {
		store(&s->task->preempt_count, s->task->preempt_count - 1);
		kemu_irq_put(s, 0);
		*dead = last - KEMU_TURN_FINISHED;
		return kemu_take_due(s);
	}
	if (last > KEMU_TURN_IDLE)	/* the task has a thread elsewhere now */
		return KEMU_ENDS;
	died = load(&prev->state) == TASK_DEAD;		/* before the store: then a waker may take it over */
	status = kemu_store_step(s, &prev->on_cpu, 0, true);
	if (status < 0)
		return status;
	if (unlikely(load(&s->k->hdr->watchers)))
		kemu_changed(s->k, &prev->on_cpu);
	if (load(&cpu->tick_at))
		status = kemu_begin_slice(s, cpu);
	if (status >= 0)
		status = kemu_unlock(s, &cpu->rq_lock);
	if (status < 0)
		return status;
	kemu_irq_put(s, 0);
	if (died)
		*dead = last + 1;
	return kemu_take_due(s);
}

/* The stand-in's turn has come on another CPU, or its CPU went offline and needs swapper itself. */
static int resign(struct kemu_self *s, u64 *dead)
{
	u64 last = 0;
	int status = kemu_resign(s, &last);

	return status < 0 ? status : kemu_finish_switch(s, last, dead);
}

/* swapper's loop on a thread that waits for its own turn; returns with it. */
static int idle_in_place(struct kemu_self *s, u64 *dead)
{
	int status = KEMU_OK;
	u64 why;

	while (status >= 0 && s->task && s->task != s->thread) {
		struct kemu_cpu *cpu = kemu_this_cpu(s);

		status = kemu_step(s, OP_LOAD, &s->k->hdr->online_mask, 0);	/* as do_idle() in Python */
		if (status < 0)
			return status;
		if (!(load(&s->k->hdr->online_mask) & 1ULL << (cpu - s->k->cpus)))
			return resign(s, dead);
		status = kemu_idle(s, &why);
		if (status < 0)
			return status;
		if (why & WHY_TURN)
			return resign(s, dead);
		if (why & WHY_IRQ)
			status = kemu_host.take_pending();
		if (status >= 0 && load(&kemu_this_cpu(s)->need_resched))
			status = kemu_switch_once(s, false, dead);
	}
	return status;
}

/*
 * Runs next, whose thread stands in for another CPU's swapper.  As a task that holds the lock
 * does when it is switched out, prev keeps a preempt_count of 2.  A dead task is freed by next.
 */
static int leave_to_stand_in(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next, u64 *dead)
{
	struct kemu_task *prev = s->task;
	bool died = load(&prev->state) == TASK_DEAD;
	int status = kemu_step(s, OP_STORE, &prev->on_cpu, 0);
	u64 last = 0;

	if (status >= 0)
		status = kemu_unlock(s, &cpu->rq_lock);
	if (status < 0)
		return status;
	store(&prev->preempt_count, prev->preempt_count + 1);
	if (died) {
		kemu_switch_away_to_stand_in(s, cpu, next);
		return KEMU_ENDS;
	}
	status = kemu_switch_to_stand_in(s, cpu, next, &last);
	return status < 0 ? status : kemu_finish_switch(s, last, dead);
}

/* Runs next; returns when it is the calling thread's turn again, maybe on another CPU. */
static int context_switch(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next,
			  u64 *dead)
{
	struct kemu_task *prev = s->task, *idle = kemu_task_at(s->k, load(&cpu->idle));
	u64 last = kemu_slot(s->k, prev);
	int status = kemu_store_step(s, &next->on_cpu, 1, false);

	if (status < 0)
		return status;
	if (next != idle)
		kemu_comes_to(s->k, cpu, next);
	if (prev != idle)
		kemu_goes_from(s->k, cpu, prev);
	if (unlikely(kemu_stands_in(s, next)))
		return leave_to_stand_in(s, cpu, next, dead);
	if (load(&prev->state) == TASK_DEAD) {
		kemu_switch_away(s, next);
		return KEMU_ENDS;
	}
	/* In a machine that searches, all trials start with the same thread idle at each CPU. */
	if (next == idle && likely(!load(&s->k->hdr->chooser))) {
		kemu_stand_in(s);
		status = kemu_finish_switch(s, last, dead);
		return status < 0 ? status : idle_in_place(s, dead);
	}
	status = kemu_switch_to(s, next, &last);
	return status < 0 ? status : kemu_finish_switch(s, last, dead);
}

/* Chooses the task to run here.  A task that is not RUNNING leaves the runqueue, unless preempted. */
static int pick(struct kemu_self *s, struct kemu_cpu *cpu, bool preempt, struct kemu_task **next)
{
	struct kemu_task *prev = s->task;
	u64 slot = 0;
	int status = KEMU_OK;

	if (!preempt && load(&prev->state)) {
		status = kemu_step(s, OP_STORE, &prev->on_rq, 0);
		if (status < 0)
			return status;
		status = kemu_deactivate(s->k, cpu, prev);
		store(&prev->nvcsw, load(&prev->nvcsw) + 1);
	}
	if (status >= 0)
		status = kemu_pick_next(s->k, cpu, &slot);
	if (status < 0)
		return status;
	*next = kemu_task_at(s->k, slot);
	store(&cpu->need_resched, 0);
	if (load(&cpu->fair_nr) > 1 || load(&cpu->tick_at))
		status = kemu_update_tick(s, cpu);
	return status;
}

/* Switches to the most urgent task, if that is another.  The caller disabled preemption once. */
int kemu_switch_once(struct kemu_self *s, bool preempt, u64 *dead)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	struct kemu_task *prev = s->task, *next = NULL;
	u64 flags;
	int status;

	if (load(&prev->preempt_count) != 1)
		return KEMU_BUG_ATOMIC;
	flags = kemu_irq_save(s);
	status = kemu_lock(s, &cpu->rq_lock);
	if (status < 0) {
		kemu_irq_put(s, flags);
		return status;
	}
	status = pick(s, cpu, preempt, &next);
	if (status < 0)
		return status;
	if (next == prev) {
		status = kemu_unlock(s, &cpu->rq_lock);
		if (status < 0)
			return status;
		kemu_irq_put(s, 0);
		return kemu_take_due(s);
	}
	if (preempt)
		store(&prev->nivcsw, load(&prev->nivcsw) + 1);
	store(&cpu->nr_switches, load(&cpu->nr_switches) + 1);
	status = kemu_store_step(s, &cpu->curr, kemu_slot(s->k, next), false);
	if (status < 0)
		return status;
	if (load(&s->k->hdr->gate) & GATE_TRACE)
		kemu_trace(s, EVENT_SCHED_SWITCH, next,
			   preempt ? EVENT_PREEMPTED : load(&prev->state),	/* R+, as Linux */
			   load(&prev->prio), load(&next->prio));
	return context_switch(s, cpu, next, dead);
}

/*
 * Sleeps if the task's state says so; otherwise lets other tasks run.  preempt: the task is
 * preempted and does not sleep.  KEMU_ENDS: the thread is not a task any more.  Any other
 * negative result stops the machine, and the locks stay as they were.  Returns early if the
 * caller must free a dead task.
 */
int kemu_schedule(struct kemu_self *s, bool preempt, u64 *dead)
{
	int status;

	do {
		store(&s->task->preempt_count, s->task->preempt_count + 1);
		status = kemu_switch_once(s, preempt, dead);
		if (status < 0)
			return status;
		store(&s->task->preempt_count, s->task->preempt_count - 1);
	} while (!*dead && load(&kemu_this_cpu(s)->need_resched));
	return KEMU_OK;
}
