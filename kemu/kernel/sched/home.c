/*
 * home.c - count where two tasks of one home run at once on two CPUs.
 *
 * kemu's own.  The threads of all tasks with one home are threads of one process.  They share its
 * interpreter, so such tasks take turns at their Python code, on whatever CPUs they are.
 *
 *	cpu.away	<- how many tasks whose home this CPU is run elsewhere: by the CPU that
 *			   switches to such a task (+1), and from it (-1); full barriers
 *	cpu.took_turns	<- how often a task left this CPU while a task of the same home ran on
 *			   another host core: by this CPU
 *
 * Each CPU looks when a task leaves it.  Of two tasks that ran at once, one leaves first, and the
 * other one is then still the current task of its CPU.  Both began some time ago, so the CPU that
 * looks sees the words of both.  A task that runs at home costs two loads, of words that only
 * change when a task runs away from its home.
 *
 * Two CPUs on one host core never run at once, so their tasks lose nothing by one interpreter.
 * Swapper does not count: its stand-in may be a thread of another process, but it runs Python code
 * only to take an interrupt.
 *
 * Locks: rq_lock of the CPU, by the caller; none of another CPU.  Caller: schedule.c.
 */
#include "sched.h"

/* Whether another host core runs a task of that home. */
static bool runs_beside(struct kemu *k, struct kemu_cpu *cpu, struct kemu_cpu *home)
{
	for (u64 i = 0; i < k->nr_cpus; i++) {
		struct kemu_cpu *other = &k->cpus[i];
		u64 curr = load(&other->curr);

		if (other != cpu && other->host_core != cpu->host_core && curr != other->idle &&
		    kemu_cpu_at(k, load(&kemu_task_at(k, curr)->home)) == home)
			return true;
	}
	return false;
}

/* The CPU switches to next, which is not swapper. */
void kemu_comes_to(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *next)
{
	struct kemu_cpu *home = kemu_cpu_at(k, load(&next->home));

	if (unlikely(home != cpu))
		fetch_add(&home->away, 1);
}

/* The CPU switches away from prev, which is not swapper. */
void kemu_goes_from(struct kemu *k, struct kemu_cpu *cpu, struct kemu_task *prev)
{
	struct kemu_cpu *home = kemu_cpu_at(k, load(&prev->home));

	if (likely(home == cpu && !load(&cpu->away)))
		return;
	if (home != cpu)
		fetch_add(&home->away, ~0ULL);
	if (runs_beside(k, cpu, home))
		store(&cpu->took_turns, load(&cpu->took_turns) + 1);
}
