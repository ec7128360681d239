/*
 * wakeup.c - try_to_wake_up: a sleeping task becomes one that is queued.
 *
 * Linux: kernel/sched/core.c (try_to_wake_up, ttwu_remote, ttwu_queue, select_task_rq,
 * select_fallback_rq).  Not modelled: the remote wake list, wake-affine placement; a
 * woken task goes where it last ran if it may.
 *
 * The order a waker relies on, and that a sleeper must keep:
 *
 *	sleeper				waker
 *	  state = S (xchg, full)	  change the condition
 *	  test the condition		  lock pi_lock (full), test the state
 *	  schedule()
 *
 * Who writes what, in this order:
 *
 *	pi_lock		held by the waker from its test of the state to the end: of two
 *			wakers one finds the state matched
 *	on_rq		read after the state (smp_rmb: Linux 4.8, 135e8c9250dd).  1: p has not left its runqueue; under
 *			rq_lock it may be seen to have meanwhile.  If not, only the state
 *			is taken back (remote)
 *	on_cpu		read after on_rq was 0 (smp_rmb: Linux 4.4), acquire: p is on its way out of schedule()
 *			until the task that follows it stores 0 (release, kemu_finish_switch())
 *			If p is the waker itself, the wait would never end: KEMU_BUG_ITSELF
 *	state		WAKING: p is in no queue, and no other task touches it
 *	cpu		under pi_lock, p being WAKING; then its rq_lock
 *	on_rq		1, linked: under rq_lock
 *	need_resched	of that CPU: before the state, under rq_lock; the kick comes after
 *			the last unlock (kemu_send_reschedule())
 *	state		RUNNING: the last store, under rq_lock.  It may come late: a state
 *			that p must not lose is stored under pi_lock (set_special_state)
 *
 * Locks: pi_lock, then rq_lock; interrupts off.  Python half: kernel/sched/wakeup.py.
 */
#include "sched.h"

static struct kemu_name matched = { "point:ttwu:matched", 0 };
static struct kemu_name remote = { "point:ttwu:remote", 0 };

static u64 cpu_bit(u64 id)
{
	return id < KEMU_MAX_CPUS ? 1ULL << id : 0;
}

/* The CPUs that p may run on: online ones for a kernel thread, otherwise active ones. */
u64 kemu_usable_mask(struct kemu *k, struct kemu_task *p)
{
	return load(&p->flags) & PF_KTHREAD ? load(&k->hdr->online_mask) : load(&k->hdr->active_mask);
}

/*
 * Some CPU for a task that cannot go where it should.  If no CPU of its mask is usable, the
 * mask becomes all possible CPUs.  The task then loses a per-CPU binding, and no message says
 * so, as in Linux 3.6 and later.  The caller holds pi_lock or rq_lock.
 */
int kemu_select_fallback(struct kemu *k, struct kemu_task *p, u64 *cpu)
{
	u64 usable = kemu_usable_mask(k, p) & (cpu_bit(k->nr_cpus) - 1);
	u64 mask = load(&p->cpus_allowed) & usable;

	if (!mask) {
		store(&p->cpus_allowed, load(&k->hdr->possible_mask));
		mask = usable;
	}
	if (!mask)
		return KEMU_BUG_NOWHERE;
	*cpu = (u64)__builtin_ctzll(mask);
	return KEMU_OK;
}

/* The CPU for a waking task: the CPU where it last ran, if it may run there. */
static int select_cpu(struct kemu *k, struct kemu_task *p, u64 *cpu)
{
	*cpu = load(&p->cpu);
	if (load(&p->cpus_allowed) & kemu_usable_mask(k, p) & cpu_bit(*cpu))
		return KEMU_OK;
	return kemu_select_fallback(k, p, cpu);
}

static void trace(struct kemu_self *s, u64 event, struct kemu_task *p, u64 cpu, u64 to)
{
	if (load(&s->k->hdr->gate) & GATE_TRACE)
		kemu_trace(s, event, p, load(&p->prio), cpu, to);
}

/* p runs, or is queued and will run.  The caller holds rq_lock. */
static int do_wakeup(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *p)
{
	int status;

	kemu_check_preempt(s->k, cpu, p);
	status = kemu_store_step(s, &p->state, TASK_RUNNING, false);
	if (status < 0)
		return status;
	trace(s, EVENT_SCHED_WAKEUP, p, (u64)(cpu - s->k->cpus), 0);
	return KEMU_OK;
}

/* p was queued when the waker tested its state.  If it still is, cancels its sleep, and returns 1. */
static int wake_remote(struct kemu_self *s, struct kemu_task *p)
{
	struct kemu_cpu *cpu = kemu_cpu_at(s->k, load(&p->cpu));
	int status = kemu_lock(s, &cpu->rq_lock), queued;

	if (status < 0)
		return status;
	queued = !!load(&p->on_rq);
	if (queued) {
		status = kemu_named_point(s, &remote);
		if (status >= 0)
			status = do_wakeup(s, cpu, p);
		if (status < 0)
			return status;
	}
	status = kemu_unlock(s, &cpu->rq_lock);
	return status < 0 ? status : queued;
}

static int queue_on(struct kemu_self *s, struct kemu_task *p, u64 id)
{
	struct kemu_cpu *cpu = kemu_cpu_at(s->k, id);
	int status = kemu_lock(s, &cpu->rq_lock);

	if (status >= 0)
		status = kemu_step(s, OP_STORE, &p->on_rq, 1);
	if (status >= 0)
		status = kemu_activate(s->k, cpu, p);
	if (status >= 0)
		status = do_wakeup(s, cpu, p);
	return status < 0 ? status : kemu_unlock(s, &cpu->rq_lock);
}

/* pi_lock is held, and the state has matched. */
static int wake(struct kemu_self *s, struct kemu_task *p)
{
	u64 cpu, on_rq = 0;
	int status;

	kemu_read_barrier(s);
	status = kemu_load_step(s, &p->on_rq, &on_rq);
	if (status >= 0 && on_rq)
		status = wake_remote(s, p);
	if (status)		/* failed, or 1: it was still queued */
		return status < 0 ? status : KEMU_OK;
	if (p == s->task)	/* interrupts are off: nothing can end the wait for its own on_cpu */
		return KEMU_BUG_ITSELF;
	kemu_read_barrier(s);
	status = kemu_wait_while(s->k, &p->on_cpu, 1, p);
	if (status >= 0)
		status = kemu_store_step(s, &p->state, TASK_WAKING, false);
	if (status < 0)
		return status;
	status = select_cpu(s->k, p, &cpu);
	if (status < 0)
		return status;
	if (load(&p->cpu) != cpu) {	/* moves no thread: the CPU that switches to p does */
		trace(s, EVENT_SCHED_MIGRATE_TASK, p, load(&p->cpu), cpu);
		store(&p->cpu, cpu);
	}
	return queue_on(s, p, cpu);
}

/*
 * Wakes p if its state is in the mask.  Returns 1 if it was, 0 if not.  Any context; does not
 * sleep.  A negative result stops the machine, and the locks stay as they were.
 */
int kemu_try_to_wake_up(struct kemu_self *s, struct kemu_task *p, u64 mask)
{
	u64 flags = kemu_irq_save(s), state = 0;
	int status = kemu_lock(s, &p->pi_lock), woken;

	if (status < 0) {
		kemu_irq_put(s, flags);
		return status;
	}
	status = kemu_load_step(s, &p->state, &state);
	if (status < 0)
		return status;
	woken = !!(state & mask);
	if (woken) {
		trace(s, EVENT_SCHED_WAKING, p, load(&p->cpu), 0);
		status = kemu_named_point(s, &matched);
		if (status >= 0)
			status = wake(s, p);
	}
	if (status >= 0)
		status = kemu_unlock(s, &p->pi_lock);
	if (status < 0)
		return status;
	kemu_irq_put(s, flags);
	if (state == KEMU_POISON)
		return KEMU_BUG_GONE;
	status = kemu_take_due(s);
	return status < 0 ? status : woken;
}
