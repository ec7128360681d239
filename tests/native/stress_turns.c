/*
 * stress_turns.c - on each CPU one task at a time, and the lock goes with the turn.
 */
#include "stress.h"

#define CPUS	2
#define PER_CPU	3
#define ROUNDS	1000

static struct kemu *k;
static u64 steps[CPUS];		/* plain: only the turn orders them */

/* The task that runs here got the runqueue's lock with its turn, and holds no other lock. */
static void check_mine(struct kemu_self *s, u64 cpu, u64 slot)
{
	CHECK(s->task == s->thread && s->task == &k->tasks[slot]);
	CHECK(load(&k->cpus[cpu].rq_lock) == slot + 1);
	CHECK(s->task->locks == 1);
}

/* The first of each CPU starts with the lock; every other waits for its first turn. */
static void runner(u64 slot, void *arg)
{
	u64 cpu = slot % CPUS, nr = slot / CPUS, last;
	u64 next = (nr + 1) % PER_CPU * CPUS + cpu, before = (nr + PER_CPU - 1) % PER_CPU * CPUS + cpu;
	struct kemu_self *s = become(k, slot, cpu, "runner");

	(void)arg;
	if (nr == 0) {
		CHECK(kemu_spin_lock(k, &k->cpus[cpu].rq_lock, slot + 1) == KEMU_OK);
		s->task->locks++;
	} else {
		CHECK(kemu_wait_turn(s, &last) == KEMU_OK && last == before);
	}
	for (int i = 1; i < ROUNDS; i++) {
		check_mine(s, cpu, slot);
		steps[cpu]++;
		kemu_trace(s, 7, &k->tasks[next], steps[cpu], 0, 0);
		CHECK(kemu_switch_to(s, &k->tasks[next], &last) == KEMU_OK && last == before);
	}
	check_mine(s, cpu, slot);
	steps[cpu]++;
	if (nr + 1 < PER_CPU)
		kemu_switch_away(s, &k->tasks[next]);
	else
		CHECK(kemu_spin_unlock(&k->cpus[cpu].rq_lock, slot + 1) == KEMU_OK);
}

/* Events of three writers, in the order of their turns. */
static void check_ring(u64 cpu)
{
	struct kemu_event *ring = kemu_ring_of(k, cpu);

	CHECK(load(&k->cpus[cpu].ring_head) == PER_CPU * (ROUNDS - 1));
	for (u64 i = 0; i < PER_CPU * (ROUNDS - 1); i++)
		CHECK(ring[i].id == 7 && ring[i].a == i + 1 && ring[i].cpu == cpu);
}

void stress_turns(void)
{
	k = build(CPUS, CPUS * PER_CPU, 0, 0);
	for (u64 i = 0; i < CPUS; i++) {
		k->cpus[i].sharers = CPUS;
		k->cpus[i].host_core = (u64)kemu_getcpu();	/* surely one that is allowed */
	}
	crowd(CPUS * PER_CPU, runner, NULL);
	for (u64 cpu = 0; cpu < CPUS; cpu++) {
		CHECK(steps[cpu] == PER_CPU * ROUNDS);
		check_ring(cpu);
	}
	scrap(k);
}
