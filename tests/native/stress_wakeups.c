/*
 * stress_wakeups.c - one task is woken now here, now there, while both CPUs idle.
 *
 * A small kernel: a queue of one task per CPU under rq_lock, swapper's loop, a
 * sleeper that blocks either by switching to swapper or by standing in for it,
 * and a waker.  A kick that idle does not see, or a turn that gets lost, leaves
 * the waker waiting for ever.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "stress.h"

#define CPUS	2
#define SLEEPER	CPUS		/* slots: swapper/0, swapper/1, then these */
#define WAKER	(CPUS + 1)
#define ROUNDS	3000

static struct kemu *k;
static u64 queued[CPUS];	/* rq_lock: whether the sleeper is to run there */
static u64 runs;		/* atomic: how often it ran */

/* Off its CPU: the waker waits for that. */
static void left_cpu(void)
{
	store_release(&k->tasks[SLEEPER].on_cpu, 0);
	kemu_changed(k, &k->tasks[SLEEPER].on_cpu);
}

static void rq_lock(struct kemu_self *s)
{
	CHECK(kemu_spin_lock(k, &kemu_this_cpu(s)->rq_lock, (u64)(s->task - k->tasks) + 1) == KEMU_OK);
	s->task->locks++;
}

static void rq_unlock(struct kemu_self *s)
{
	s->task->locks--;
	CHECK(kemu_spin_unlock(&kemu_this_cpu(s)->rq_lock, (u64)(s->task - k->tasks) + 1) == KEMU_OK);
	kemu_unlocked(k, &kemu_this_cpu(s)->rq_lock);
}

/* In swapper's name.  True: the sleeper is to run here, and rq_lock is held. */
static bool picked(struct kemu_self *s)
{
	struct kemu_cpu *cpu = kemu_this_cpu(s);
	bool found;

	rq_lock(s);
	store(&cpu->need_resched, 0);
	found = queued[cpu->id];
	queued[cpu->id] = 0;
	if (!found)
		rq_unlock(s);
	return found;
}

/* Runs as swapper until the machine stops. */
static void swapper(u64 cpu)
{
	struct kemu_self *s = become(k, cpu, cpu, "swapper");
	u64 why, last;

	while (kemu_idle(s, &why) == KEMU_OK) {
		CHECK(!(why & WHY_TURN));
		if (!(why & WHY_RESCHED) || !picked(s))
			continue;
		if (kemu_switch_to(s, &k->tasks[SLEEPER], &last) != KEMU_OK)
			return;
		if (last == KEMU_TURN_IDLE)	/* a stand-in left: it freed the lock itself */
			continue;
		CHECK(last == SLEEPER);
		rq_unlock(s);
		left_cpu();
	}
}

/* Blocks in place; false when the machine has stopped.  Returns with rq_lock held. */
static bool stand_in(struct kemu_self *s)
{
	u64 why, last;

	kemu_stand_in(s);
	rq_unlock(s);
	left_cpu();
	while (kemu_idle(s, &why) == KEMU_OK) {
		if (why & WHY_TURN)
			return kemu_resign(s, &last) == KEMU_OK;
		if (why & WHY_RESCHED && picked(s))
			return kemu_switch_to(s, s->thread, &last) == KEMU_OK;
	}
	return false;
}

static void sleeper(void)
{
	struct kemu_self *s = become(k, SLEEPER, 0, "sleeper");
	u64 last, seed = 1;

	store_release(&s->task->on_cpu, 0);	/* from here it may be woken */
	CHECK(kemu_wait_turn(s, &last) == KEMU_OK);
	for (;;) {
		CHECK(s->task == s->thread && s->task->locks == 1);
		rq_unlock(s);
		kemu_trace(s, 9, NULL, load(&runs), 0, 0);
		fetch_add(&runs, 1);
		kemu_changed(k, &runs);
		rq_lock(s);
		if (dice(&seed) & 1 ? !stand_in(s) :
		    kemu_switch_to(s, &k->tasks[load(&s->task->cpu)], &last) != KEMU_OK)
			return;
	}
}

/* The kick under the lock, or after it; late: left to the wait that follows. */
static void wake_on(struct kemu_self *s, struct kemu_cpu *cpu, bool late)
{
	store(&k->tasks[SLEEPER].cpu, cpu->id);
	CHECK(kemu_spin_lock(k, &cpu->rq_lock, WAKER + 1) == KEMU_OK);
	s->task->locks++;
	store(&k->tasks[SLEEPER].on_cpu, 1);
	queued[cpu->id] = 1;
	store(&cpu->need_resched, 1);
	if (late)
		kemu_send_reschedule(k, cpu);
	else
		kemu_kick(k, cpu);
	s->task->locks--;
	CHECK(kemu_spin_unlock(&cpu->rq_lock, WAKER + 1) == KEMU_OK);
	kemu_unlocked(k, &cpu->rq_lock);
}

static void waker(void)
{
	struct kemu_self *s = become(k, WAKER, CPUS, "waker");	/* a CPU of its own */
	u64 seed = 2;

	for (u64 i = 0; i < ROUNDS; i++) {
		/* Half of the rounds poll before they sleep, half sleep at once. */
		store(&k->hdr->poll_max_ns, i & 64 ? 20000 : 0);
		CHECK(kemu_wait_while(k, &k->tasks[SLEEPER].on_cpu, 1, NULL) == KEMU_OK);
		wake_on(s, &k->cpus[dice(&seed) % CPUS], dice(&seed) & 2);
		CHECK(kemu_wait_while(k, &runs, i, NULL) == KEMU_OK);
	}
	fetch_or(&k->hdr->gate, GATE_PANIC);
	kemu_notify_all(k);
}

static void part(u64 number, void *arg)
{
	(void)arg;
	if (number < CPUS)
		swapper(number);
	else if (number == SLEEPER)
		sleeper();
	else
		waker();
}

void stress_wakeups(void)
{
	cpu_set_t allowed;
	u64 core = 0;

	k = build(CPUS + 1, WAKER + 1, 0, 0);
	CHECK(!sched_getaffinity(0, sizeof(allowed), &allowed));
	for (u64 i = 0; i < CPUS; i++, core++) {
		while (!CPU_ISSET(core % CPU_SETSIZE, &allowed))
			core++;
		k->cpus[i].idle = i;
		k->cpus[i].host_core = core % CPU_SETSIZE;
		k->cpus[i].sharers = CPU_COUNT(&allowed) < CPUS ? CPUS : 1;
	}
	for (u64 slot = 0; slot <= WAKER; slot++)
		store(&k->tasks[slot].used, 1);
	store(&k->tasks[SLEEPER].on_cpu, 1);
	crowd(WAKER + 1, part, NULL);
	CHECK(load(&runs) == ROUNDS);
	scrap(k);
}
