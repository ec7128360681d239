/*
 * lockuse.c - how each class of spinlock has been taken: in an interrupt, with interrupts on.
 *
 * A class whose locks were taken in both ways can deadlock a CPU with itself: the interrupt
 * comes while the interrupted task holds the lock.  The two uses prove this, even if no CPU
 * deadlocks.  This file records the uses; the vector lock_used, which Python sets, judges a
 * new use.
 *
 * A class is a symbol.  A lock inside struct kemu_cpu or struct kemu_task has the class of
 * its field; other locks are given a class by their caller.
 *
 *	symbol.value	<- LOCK_ bits: by the task that first takes a lock of the class in that
 *			   way (fetch_or)
 *
 * Locks: none.  Callers: gate.c before OP_LOCK, python/spinlock.c, kernel/sched/completion.c;
 * only while GATE_LOCKDEP is set.  Python half: kernel/locking/lockdep.py.
 */
#include <string.h>

#include "hardware.h"

static u64 use_now(struct kemu_self *s)
{
	if (load(&s->task->preempt_count) >= KEMU_HARDIRQ_OFFSET)
		return LOCK_IN_HARDIRQ;
	return load(&kemu_this_cpu(s)->irqs_off) ? 0 : LOCK_HARDIRQS_ON;
}

/* Before the current task takes a lock of the class whose symbol is at that offset. */
int kemu_lock_used(struct kemu_self *s, u64 class)
{
	u64 *uses = (u64 *)(s->k->base + class), use = use_now(s), before;

	if (!use || load(uses) & use)
		return KEMU_OK;
	before = fetch_or(uses, use);
	return before & use ? KEMU_OK : kemu_host.lock_used(class, use, before);
}

/* As kemu_lock_used(); the class is found by its name, which begins with "lock:". */
int kemu_named_lock_used(struct kemu_self *s, struct kemu_name *class)
{
	u64 index = load(&class->hint);
	int status;

	if (!kemu_is_symbol(s->k, class->name, index)) {
		status = kemu_symbol(s->k, class->name, strlen(class->name), &index);
		if (status < 0)
			return status;
		store(&class->hint, index);
	}
	return kemu_lock_used(s, s->k->symbols + index * sizeof(struct kemu_symbol));
}

static struct { size_t offset; struct kemu_name class; } of_cpu[] = {
	{ offsetof(struct kemu_cpu, rq_lock), { "lock:rq_lock", 0 } },
	{ offsetof(struct kemu_cpu, call_lock), { "lock:call_lock", 0 } },
	{ offsetof(struct kemu_cpu, timer_lock), { "lock:timer_lock", 0 } },
};

static struct kemu_name pi_lock = { "lock:pi_lock", 0 };

/* Before the current task takes the lock at that offset, if its class is that of a field. */
int kemu_field_lock_used(struct kemu_self *s, u64 off)
{
	u64 cpus = (u64)((char *)s->k->cpus - s->k->base);
	u64 tasks = (u64)((char *)s->k->tasks - s->k->base);

	if (off >= tasks && off < tasks + s->k->nr_tasks * sizeof(struct kemu_task))
		return kemu_named_lock_used(s, &pi_lock);
	if (off < cpus || off >= cpus + s->k->nr_cpus * sizeof(struct kemu_cpu))
		return KEMU_OK;
	for (size_t i = 0; i < sizeof(of_cpu) / sizeof(*of_cpu); i++)
		if ((off - cpus) % sizeof(struct kemu_cpu) == of_cpu[i].offset)
			return kemu_named_lock_used(s, &of_cpu[i].class);
	return KEMU_OK;
}
