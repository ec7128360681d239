/*
 * timer.c - a CPU's next event: the earliest of its timers and its tick.
 *
 *	cpu.tick_at	<- by that CPU, interrupts off, under timer_lock; zero: no tick
 *	cpu.next_event	<- the same; the hardware compares it with the clock
 *	cpu.slice_of	<- by that CPU, interrupts off, under rq_lock, when a fair task comes
 *
 * The tick runs only where two fair tasks share the CPU.  A task's thread may come late, on a
 * loaded host by more than a tick.  Then the tick would take the CPU from the task before the
 * task has done anything, and so on with each that follows.  So a tick that is due when another fair
 * task comes begins anew.  A fair task that comes back, for example after the stopper, is
 * still in its slice; otherwise interruptions could keep the CPU from the others.
 */
#include "sched.h"

/* The caller has interrupts off on that CPU, and holds timer_lock. */
int kemu_program_event(struct kemu *k, struct kemu_cpu *cpu)
{
	u64 head = kemu_offset(k, &cpu->timer_next), node = head, due = load(&cpu->tick_at);
	u64 offset = offsetof(struct kemu_task, timer_next), tasks = (u64)((char *)k->tasks - k->base);

	if (!due)
		due = KEMU_NEVER;
	for (u64 i = 0; i <= k->nr_tasks; i++) {
		u64 expires, *word;
		int status = kemu_list_next(k, node, &node);

		if (status < 0)
			return status;
		if (node == head) {
			store(&cpu->next_event, due);
			return KEMU_OK;
		}
		word = node < tasks ? NULL : kemu_word(k, node - offset + offsetof(struct kemu_task, timer_expires));
		if (!word)
			return KEMU_CORRUPT;
		expires = load(word);
		if (expires < due)
			due = expires;
	}
	return KEMU_CORRUPT;
}

/* Starts or stops the tick.  The caller holds rq_lock, on that CPU, interrupts off. */
int kemu_update_tick(struct kemu_self *s, struct kemu_cpu *cpu)
{
	int status = kemu_lock(s, &cpu->timer_lock);

	if (status < 0)
		return status;
	if (load(&cpu->fair_nr) < 2)
		store(&cpu->tick_at, 0);
	else if (!load(&cpu->tick_at))
		store(&cpu->tick_at, kemu_clock(s->k) + load(&s->k->hdr->tick_ns));
	status = kemu_program_event(s->k, cpu);
	return status < 0 ? status : kemu_unlock(s, &cpu->timer_lock);
}

/* A task has come: if its slice begins here, the tick must not be due yet.  As kemu_update_tick. */
int kemu_begin_slice(struct kemu_self *s, struct kemu_cpu *cpu)
{
	u64 me = kemu_slot(s->k, s->task) + 1, now;
	int status;

	if (load(&s->task->sched_class) != CLASS_FAIR || load(&cpu->slice_of) == me)
		return KEMU_OK;
	store(&cpu->slice_of, me);
	now = kemu_clock(s->k);
	if (now < load(&cpu->tick_at))
		return KEMU_OK;
	status = kemu_lock(s, &cpu->timer_lock);
	if (status < 0)
		return status;
	store(&cpu->tick_at, now + load(&s->k->hdr->tick_ns));
	status = kemu_program_event(s->k, cpu);
	return status < 0 ? status : kemu_unlock(s, &cpu->timer_lock);
}
