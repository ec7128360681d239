/*
 * stress_quiet.c - that all is quiet is told when it is so, not before, to who can hear it.
 *
 * A token goes from CPU to CPU, each of which idles when it has passed it on: while there
 * is one, not all is quiet.  Who looks at one CPU after the other must not take "each
 * idled when I looked at it" for "all idle".  Now and then the token is dropped: then an
 * online CPU must be told, once, and makes the next.
 */
#include "stress.h"

#define ACTIVE	5		/* CPUs that are more than idle */
#define BETWEEN	10		/* idle ones between two of them: a look takes the longer */
#define CPUS	((ACTIVE - 1) * (BETWEEN + 1) + 1)
#define DEAD	(CPUS - 1)	/* offline, interrupts off: it idles too, and may be the last to */
#define ROUNDS	1000
#define PASSES	200		/* of a token, about */
#define POLL_NS	50000

static struct kemu *k;
static u64 token;		/* atomic: whether there is one */
static u64 rounds;		/* CPU 0's: it is the first that is online */

static void pass_on(u64 *seed)
{
	struct kemu_cpu *to = &k->cpus[dice(seed) % ACTIVE * (BETWEEN + 1)];

	store(&to->need_resched, 1);
	kemu_kick(k, to);
}

/* The report says that all is quiet.  Asks for the next report, then makes a token. */
static void make_token(struct kemu_cpu *cpu, u64 *seed)
{
	CHECK(cpu->id == 0 && xchg(&cpu->ipi, 0) == IPI_QUIESCENT);
	CHECK(!load(&token));
	if (++rounds == ROUNDS) {
		fetch_or(&k->hdr->gate, GATE_PANIC);
		kemu_notify_all(k);
		return;
	}
	store(&token, 1);
	fetch_or(&k->hdr->gate, GATE_QUIESCE);
	pass_on(seed);
}

static void idler(u64 slot, void *arg)
{
	u64 id = slot * (BETWEEN + 1), why, seed = slot + 1;
	struct kemu_self *s = become(k, slot, id, "swapper");
	struct kemu_cpu *cpu = &k->cpus[id];

	(void)arg;
	store(&cpu->irqs_off, id == DEAD);
	while (kemu_idle(s, &why) == KEMU_OK) {
		if (why & WHY_IRQ)
			make_token(cpu, &seed);
		if (!(why & WHY_RESCHED))
			continue;
		store(&cpu->need_resched, 0);
		if (dice(&seed) % PASSES)
			pass_on(&seed);
		else
			store(&token, 0);
	}
}

void stress_quiet(void)
{
	k = build(CPUS, ACTIVE, 0, 0);
	rounds = 0;
	store(&k->hdr->poll_max_ns, POLL_NS);
	store(&k->hdr->online_mask, (1ULL << DEAD) - 1);
	store(&k->hdr->gate, GATE_QUIESCE);	/* no CPU has a token: that is reported first */
	for (u64 i = 0; i < CPUS; i++) {
		k->cpus[i].sharers = 1;
		store(&k->cpus[i].idling, i % (BETWEEN + 1) ? CPU_IDLE : CPU_BUSY);
	}
	for (u64 slot = 0; slot < ACTIVE; slot++)
		store(&k->tasks[slot].used, 1);
	crowd(ACTIVE, idler, NULL);
	CHECK(rounds == ROUNDS);
	scrap(k);
}
