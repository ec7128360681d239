/*
 * stress_sched.c - tasks sleep and wake each other on two CPUs, move between them, and die.
 *
 * The kernel's own schedule() and try_to_wake_up() (schedule.c, wakeup.c), without the
 * kernel.  Some tokens go round: who has got one gives it to the next and wakes it, so a
 * wake-up that is lost stops the round; half of the tokens are handed over by a
 * completion (completion.c).  Strangers wake tasks that wait for no such thing,
 * and masks change, so that a wake-up finds a task queued, on its way out, and asleep.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "stress.h"

#define CPUS	2
#define TASKS	5		/* slots from CPUS on */
#define TOKENS	2
#define ROUNDS	1500
#define SLEEPS	1		/* TASK_INTERRUPTIBLE */

static struct kemu *k;
static u64 given[TASKS], taken[TASKS];	/* given: atomic; taken: by its task */
static u64 done[TASKS];			/* offsets: a completion for each */
static u64 runs[CPUS];			/* plain: one task at a time runs on a CPU */
static u64 freed;			/* atomic: a mask of the dead */

static void free_dead(u64 dead)
{
	if (!dead)
		return;
	CHECK(load(&k->tasks[dead - 1].state) == TASK_DEAD);
	CHECK(!(fetch_or(&freed, 1ULL << (dead - 1)) & 1ULL << (dead - 1)));
	if (__builtin_popcountll(load(&freed)) == TASKS) {
		fetch_or(&k->hdr->gate, GATE_PANIC);
		kemu_notify_all(k);
	}
}

/* Interrupts have nothing to say here; a reschedule is a preemption. */
static int take_pending(void)
{
	struct kemu_self *s = &kemu_self;
	u64 dead = 0;
	int status;

	if (!kemu_resched_due(s, kemu_this_cpu(s)))
		return KEMU_OK;
	status = kemu_schedule(s, true, &dead);
	free_dead(dead);
	return status;
}

static void swapper(u64 cpu)
{
	struct kemu_self *s = become(k, cpu, cpu, "swapper");
	u64 why, dead = 0;
	int status = KEMU_OK;

	while (status >= 0 && kemu_idle(s, &why) == KEMU_OK)
		while (status >= 0 && load(&kemu_this_cpu(s)->need_resched)) {
			status = kemu_switch_once(s, false, &dead);
			free_dead(dead);
			dead = 0;
		}
	CHECK(status >= 0 || status == KEMU_STOPPED);
}

/* Preemption is off: no other task is between these lines on this CPU. */
static void run_on(struct kemu_self *s)
{
	store(&s->task->preempt_count, s->task->preempt_count + 1);
	runs[kemu_this_cpu(s) - k->cpus]++;
	CHECK(load(&s->task->on_rq) && load(&s->task->on_cpu));
	CHECK(load(&kemu_this_cpu(s)->curr) == (u64)(s->task - k->tasks));
	store(&s->task->preempt_count, s->task->preempt_count - 1);
	CHECK(kemu_take_due(s) >= 0);
}

/* Every other token of a task comes by its completion. */
static bool by_completion(u64 number)
{
	return number & 1;
}

static void wait_for_completion(struct kemu_self *s, u64 me)
{
	u64 dead = 0;

	do {
		free_dead(dead);
		dead = 0;
		CHECK(kemu_wait_for_completion(s, done[me], KEMU_NEVER, &dead) >= 0);
	} while (dead);
	CHECK(!load(&s->task->blocked_on) && load(&s->task->state) == TASK_RUNNING);
	taken[me]++;
}

static void wait_for_token(struct kemu_self *s, u64 me, u64 *seed)
{
	u64 dead = 0;

	for (;;) {
		xchg(&s->task->state, SLEEPS);
		if (!(dice(seed) & 3))		/* preempted here, it stays queued */
			store(&kemu_this_cpu(s)->need_resched, 1);
		CHECK(kemu_take_due(s) >= 0);
		if (load(&given[me]) != taken[me])
			break;
		CHECK(kemu_schedule(s, false, &dead) >= 0);
		free_dead(dead);
		dead = 0;
	}
	store(&s->task->state, TASK_RUNNING);
	taken[me]++;
}

/* Its next token.  There may be more under way: who has counted this one hands it over. */
static void give(struct kemu_self *s, u64 next)
{
	u64 number = fetch_add(&given[next], 1);

	if (by_completion(number))
		CHECK(kemu_complete(s, done[next], false) == KEMU_OK);
	else
		CHECK(kemu_try_to_wake_up(s, &k->tasks[CPUS + next], SLEEPS) >= 0);
}

static void task(u64 slot)
{
	u64 me = slot - CPUS, next = (me + 1) % TASKS, last, dead = 0, seed = slot;
	struct kemu_self *s = become(k, slot, slot % CPUS, "task");

	CHECK(kemu_wait_turn(s, &last) == KEMU_OK);
	CHECK(kemu_finish_switch(s, last, &dead) >= 0);
	free_dead(dead);
	dead = 0;
	store(&s->task->preempt_count, s->task->preempt_count - 1);
	for (u64 i = 0; i < ROUNDS; i++) {
		if (by_completion(i))
			wait_for_completion(s, me);
		else
			wait_for_token(s, me, &seed);
		run_on(s);
		if (!(dice(&seed) & 7))
			store(&k->tasks[CPUS + next].cpus_allowed, 1 + dice(&seed) % 3);
		if (!(dice(&seed) & 7))		/* a stranger's */
			CHECK(kemu_try_to_wake_up(s, &k->tasks[CPUS + dice(&seed) % TASKS],
						  TASK_NORMAL) >= 0);
		give(s, next);
	}
	store(&s->task->preempt_count, s->task->preempt_count + 1);
	store(&s->task->state, TASK_DEAD);
	CHECK(kemu_switch_once(s, false, &dead) == KEMU_ENDS);
}

static void part(u64 slot, void *arg)
{
	(void)arg;
	if (slot < CPUS)
		swapper(slot);
	else
		task(slot);
}

static void lay_out(void)
{
	cpu_set_t allowed;
	u64 core = 0;

	CHECK(!sched_getaffinity(0, sizeof(allowed), &allowed));
	store(&k->hdr->online_mask, (1 << CPUS) - 1);
	store(&k->hdr->possible_mask, (1 << CPUS) - 1);
	store(&k->hdr->active_mask, (1 << CPUS) - 1);
	store(&k->hdr->tick_ns, 1000000);
	store(&k->hdr->poll_max_ns, 20000);
	for (u64 i = 0; i < CPUS; i++, core++) {
		while (!CPU_ISSET(core % CPU_SETSIZE, &allowed))
			core++;
		k->cpus[i].idle = k->cpus[i].curr = i;
		k->cpus[i].host_core = core % CPU_SETSIZE;
		k->cpus[i].sharers = CPU_COUNT(&allowed) < CPUS ? CPUS : 1;
		k->cpus[i].need_resched = 1;
	}
	for (u64 slot = 0; slot < CPUS + TASKS; slot++) {
		struct kemu_task *t = &k->tasks[slot];

		t->used = 1;
		t->state = TASK_RUNNING;
		t->cpu = slot % CPUS;
		t->cpus_allowed = (1 << CPUS) - 1;
		t->preempt_count = slot < CPUS ? 1 : 2;
		t->on_rq = t->on_cpu = slot < CPUS;
		t->sched_class = slot < CPUS ? CLASS_IDLE : slot == CPUS ? CLASS_RT : CLASS_FAIR;
		t->prio = slot == CPUS ? 50 : 120;
		if (slot >= CPUS)
			CHECK(kemu_activate(k, &k->cpus[slot % CPUS], t) == KEMU_OK);
	}
}

void stress_sched(void)
{
	int (*before)(void) = kemu_host.take_pending;
	u64 all = 0;

	k = build(CPUS, CPUS + TASKS, 1 << 16, 0);
	for (u64 i = 0; i < TASKS; i++)
		CHECK(kemu_heap_alloc(k, sizeof(struct kemu_completion), &done[i]) == KEMU_OK);
	lay_out();
	kemu_host.take_pending = take_pending;
	for (u64 i = 0; i < TOKENS; i++)
		given[i * TASKS / TOKENS] = 1;
	crowd(CPUS + TASKS, part, NULL);
	kemu_host.take_pending = before;
	for (u64 i = 0; i < CPUS; i++)
		all += runs[i];
	CHECK(all == TASKS * ROUNDS);
	CHECK(__builtin_popcountll(load(&freed)) == TASKS);
	scrap(k);
}
