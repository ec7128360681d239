/*
 * standin.c - turns under control, where the thread of a task idles for another CPU.
 *
 * A switch on one CPU takes the baton along: the thread that gets the turn goes on.  But CPU 1
 * may give its turn to a thread that idles in place for CPU 0, as swapper (cpu.c):
 *
 *	the thread sleeps idle	  It takes the turn at once, and resigns.  CPU 1 keeps the baton;
 *				  swapper's own thread then waits until CPU 0 is chosen.
 *	the thread is in a step,  It waits until CPU 0 is chosen, so it cannot take the turn.
 *	  as swapper		  CPU 1 announces OP_TURN.  CPU 1 can do that step when the thread
 *				  has resigned, or has given CPU 0 to another task.
 *
 *	cpu.want_value	of OP_TURN: 1 when the thread is free.  Written by that thread, which has
 *			the baton of the CPU that it leaves.
 */
#include "chooser.h"

/*
 * Whether the task's thread runs or idles as swapper.  An old task.stands_in does not count: it
 * would say how old the machine is.
 */
bool kemu_stands_in_now(struct kemu *k, struct kemu_task *t)
{
	u64 slot = kemu_slot(k, t);

	for (u64 i = 0; i < k->nr_cpus; i++) {
		struct kemu_cpu *cpu = &k->cpus[i];

		if (load(&cpu->idler) == slot + 1 || (load(&cpu->want) && load(&cpu->want_thread) == slot))
			return true;
	}
	return false;
}

/* The thread does not idle for a CPU any more.  A CPU that waits to give it a turn can go on. */
static void release_thread(struct kemu *k, u64 slot)
{
	for (u64 i = 0; i < k->nr_cpus; i++)
		if (load(&k->cpus[i].want) == OP_TURN && load(&k->cpus[i].want_thread) == slot)
			store(&k->cpus[i].want_value, 1);
}

/*
 * Called before the CPU gives next its turn.  next's thread may idle in place for another CPU.
 * False: the thread can take the turn at once, and this CPU keeps the baton.  True: the thread
 * is in the middle of a step, as swapper, and this CPU waits until the thread has resigned.
 */
bool kemu_is_busy_elsewhere(struct kemu_self *s, struct kemu_cpu *cpu, struct kemu_task *next)
{
	u64 slot = kemu_slot(s->k, next);
	bool busy = false;

	release_thread(s->k, kemu_slot(s->k, s->thread));
	for (u64 i = 0; i < s->k->nr_cpus; i++)
		busy |= load(&s->k->cpus[i].want) && load(&s->k->cpus[i].want_thread) == slot;
	if (!busy)
		return false;
	store(&cpu->want_word, kemu_offset(s->k, &next->turn));
	store(&cpu->want_value, 0);
	store(&cpu->want_task, slot);
	store(&cpu->want_thread, slot);
	store(&cpu->want, OP_TURN);
	return true;
}

/* The CPU has given a turn that the thread cannot take yet. */
void kemu_let_others_go_on(struct kemu_self *s, struct kemu_cpu *cpu)
{
	struct kemu_chooser *ch = kemu_chooser_of(s->k);
	u64 to;

	if (ch)
		kemu_close_step(s->k, ch);
	to = ch ? kemu_choose_cpu(s->k, ch, cpu) : KEMU_NOBODY;
	if (to != KEMU_NOBODY)
		kemu_pass_baton(s->k, to);
	else if (ch)
		kemu_end_trial(s, ch);
}

/*
 * The thread has taken its turn, on the CPU of its task.  Usually it has the baton.  Two threads
 * must await it: a thread that resigned while another CPU waited for that; and swapper's own
 * thread, which takes the idle duty over from a thread that got its turn on another CPU.
 */
int kemu_take_turn_by_choice(struct kemu_self *s, u64 last)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	int status;

	if (last > KEMU_TURN_IDLE && last < KEMU_TURN_FINISHED)
		return KEMU_OK;		/* the thread ends */
	status = kemu_await_baton(s);
	if (load(&cpu->want) == OP_TURN)
		store(&cpu->want, 0);
	if (last == KEMU_TURN_IDLE) {
		kemu_mark_busy(cpu);
		kemu_record_wakeup(s, cpu);
	}
	return status;
}

/* The thread stops idling for the CPU.  The CPU idles until swapper's own thread has the baton. */
void kemu_resign_by_choice(struct kemu_self *s, struct kemu_cpu *cpu)
{
	store(&cpu->idler, kemu_slot(s->k, s->task) + 1);
	store_release(&cpu->idling, CPU_IDLE);
	release_thread(s->k, kemu_slot(s->k, s->thread));
}
