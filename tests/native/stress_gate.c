/*
 * stress_gate.c - holds let go what they hold, and nobody sleeps through a panic.
 */
#include <pthread.h>

#include "stress.h"

#define NAMESAKES 2
#define PARTS	(NAMESAKES + 1)
#define HOLD_AT	100
#define LET_GO	200
#define ROUNDS	2000

static struct kemu *k;
static pthread_barrier_t round_begins;
static u64 arrived;

static void arm(void)
{
	struct kemu_hold *h = &k->hdr->holds[0];

	store(&arrived, 0);
	store(&h->kind, HOLD_STALL);
	store(&h->at_comm0, name_word("held"));
	store(&h->at_op, OP_POINT);
	store(&h->at_word, HOLD_AT);
	store(&h->until_comm0, name_word("passer"));
	store(&h->until_op, OP_POINT);
	store(&h->until_word, LET_GO);
	store_release(&h->state, HOLD_ARMED);
}

/* Two tasks of one name race to the point: one is held, and its bell rings. */
static void actor(u64 number, void *arg)
{
	struct kemu_self *s = become(k, number, number, number < NAMESAKES ? "held" : "passer");

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		if (pthread_barrier_wait(&round_begins) == PTHREAD_BARRIER_SERIAL_THREAD)
			arm();
		pthread_barrier_wait(&round_begins);
		if (number < NAMESAKES) {
			CHECK(kemu_point(s, HOLD_AT) == KEMU_OK);
			fetch_add(&arrived, 1);
			continue;
		}
		while (load_acquire(&k->hdr->holds[0].state) != HOLD_HELD)
			cpu_pause();
		CHECK(kemu_point(s, LET_GO) == KEMU_OK);
		CHECK(load(&k->hdr->holds[0].state) == HOLD_PASSED);
	}
}

void stress_holds(void)
{
	k = build(PARTS, PARTS, 0, 0);
	store(&k->hdr->gate, GATE_HOLD | GATE_JITTER);
	store(&k->hdr->jitter_odds, 4);
	store(&k->hdr->jitter_max_ns, 5000);
	for (u64 i = 0; i < PARTS; i++)
		k->cpus[i].sharers = PARTS;
	CHECK(!pthread_barrier_init(&round_begins, NULL, PARTS));
	crowd(PARTS, actor, NULL);
	pthread_barrier_destroy(&round_begins);
	CHECK(load(&arrived) == NAMESAKES);
	scrap(k);
}

/* Each waits in another way for what never comes. */
static void waiter(u64 number, void *arg)
{
	struct kemu_self *s = become(k, number, number, "waiter");
	u64 out, *never = arg, held = 1;	/* written by the thread that waits for its turn */

	switch (number) {
	case 0:
		CHECK(kemu_wait_turn(s, &out) == KEMU_STOPPED);
		break;
	case 1:
		CHECK(kemu_idle(s, &out) == KEMU_STOPPED);
		break;
	case 2:
		CHECK(kemu_spin_lock(k, &held, number + 1) == KEMU_STOPPED);
		break;
	case 3:
		CHECK(kemu_wait_while(k, never, ~0ULL, NULL) == KEMU_STOPPED);
		break;
	case 4:
		kemu_raw_lock(k, never);
		break;
	default:
		fetch_or(&k->hdr->gate, GATE_PANIC);
		kemu_notify_all(k);
	}
}

void stress_panic(void)
{
	for (int i = 0; i < 30; i++) {
		u64 never = ~0ULL;

		k = build(6, 6, 0, 0);
		for (u64 slot = 0; slot < 6; slot++)
			store(&k->tasks[slot].used, 1);
		crowd(6, waiter, &never);
		scrap(k);
	}
	CHECK(kemu_die_with_parent() == KEMU_OK);
	CHECK(kemu_pin(0, KEMU_MAX_CORES) == KEMU_OSERROR);
}
