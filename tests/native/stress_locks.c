/*
 * stress_locks.c - spinlocks exclude, bells lose no ring, lists stay whole.
 */
#include "stress.h"

#define THREADS	4
#define ROUNDS	20000

struct shelf {
	struct kemu *k;
	u64 *lock, *raw;
	u64 list, nodes;	/* offsets: a head, and a node per thread */
	u64 counter, raw_counter;
};

/* One more, and in or out of the list, under a lock that has an owner. */
static void locker(u64 number, void *arg)
{
	struct shelf *s = arg;
	struct kemu_self *self = become(s->k, number, number, "locker");
	u64 owner = number + 1, node = s->nodes + number * 16, next;

	for (int i = 0; i < ROUNDS; i++) {
		CHECK(kemu_spin_lock(s->k, s->lock, owner) == KEMU_OK);
		CHECK(kemu_spin_lock(s->k, s->lock, owner) == KEMU_RECURSION);
		s->counter++;
		CHECK(kemu_list_add(s->k, s->list, node, i & 1) == KEMU_OK);
		CHECK(kemu_list_add(s->k, s->list, node, i & 1) == KEMU_BUSY);
		CHECK(kemu_list_next(s->k, s->list, &next) == KEMU_OK && next == node);
		CHECK(kemu_list_del(s->k, node) == KEMU_OK);
		CHECK(kemu_spin_unlock(s->lock, owner + 1) == KEMU_NOTOWNER);
		CHECK(kemu_spin_unlock(s->lock, owner) == KEMU_OK);
		kemu_unlocked(s->k, s->lock);

		kemu_raw_lock(self->k, s->raw);
		s->raw_counter++;
		kemu_raw_unlock(s->raw);
	}
}

void stress_locks(void)
{
	struct kemu *k = build(THREADS, THREADS, 1 << 16, 0);
	struct shelf s = { .k = k };
	u64 locks;

	for (u64 i = 0; i < THREADS; i++)	/* half of them poll before they sleep */
		k->cpus[i].sharers = 1 + i % 2;
	store(&k->hdr->poll_max_ns, 20000);
	CHECK(kemu_heap_alloc(k, 16, &locks) == KEMU_OK);
	CHECK(kemu_heap_alloc(k, 16, &s.list) == KEMU_OK);
	CHECK(kemu_heap_alloc(k, 16 * THREADS, &s.nodes) == KEMU_OK);
	s.lock = kemu_word(k, locks);
	s.raw = kemu_word(k, locks + 8);
	kemu_list_init(k, s.list);
	crowd(THREADS, locker, &s);
	CHECK(s.counter == THREADS * ROUNDS && s.raw_counter == THREADS * ROUNDS);
	scrap(k);
}

#define SERVED	200

struct shop {
	struct kemu *k;
	u64 *lock;
	u64 served;		/* under the lock */
	u64 core;
};

/* The owner shares a core with the waiter and relocks at once, always: the waiter must get in. */
static void customer(u64 number, void *arg)
{
	struct shop *s = arg;
	u64 served = 0;

	become(s->k, number, number, "customer");
	CHECK(kemu_pin(0, s->core) == KEMU_OK);
	while (served < SERVED) {
		CHECK(kemu_spin_lock(s->k, s->lock, number + 1) == KEMU_OK);
		s->served += number;
		served = s->served;
		CHECK(kemu_spin_unlock(s->lock, number + 1) == KEMU_OK);
		if (load(&s->k->hdr->watchers))
			kemu_unlocked(s->k, s->lock);
	}
}

void stress_greedy(void)
{
	struct kemu *k = build(2, 2, 1 << 12, 0);
	struct shop s = { .k = k, .core = (u64)kemu_getcpu() };
	u64 lock;

	CHECK(kemu_heap_alloc(k, 8, &lock) == KEMU_OK);
	s.lock = kemu_word(k, lock);
	k->cpus[0].sharers = k->cpus[1].sharers = 2;
	crowd(2, customer, &s);
	CHECK(s.served >= SERVED && !load(s.lock) && !load(&k->hdr->watchers));
	scrap(k);
}

struct table {
	struct kemu *k;
	u64 ball;		/* whose turn: atomic */
	u64 hits;		/* ordered by the ball */
};

struct seat {
	struct table *t;
	u64 number;
};

static bool mine(void *arg)
{
	struct seat *s = arg;

	return load_acquire(&s->t->ball) == s->number;
}

/* The ball goes round; the thread that has it passes it on and rings.  A lost ring ends the game. */
static void player(u64 number, void *arg)
{
	struct table *t = arg;
	struct seat s = { t, number };
	u64 next = (number + 1) % THREADS;

	for (int i = 0; i < ROUNDS / 4; i++) {
		u64 poll_ns = i % 3 ? 0 : 2000;

		CHECK(kemu_sleep_until(t->k, &t->k->tasks[number].bell, poll_ns, KEMU_NEVER,
				       mine, &s) == KEMU_OK);
		t->hits++;
		store_release(&t->ball, next);
		kemu_notify(&t->k->tasks[next].bell);
		kemu_notify(&t->k->tasks[(next + 1) % THREADS].bell);	/* a needless ring */
	}
}

void stress_bells(void)
{
	struct kemu *k = build(1, THREADS, 0, 0);
	struct table t = { .k = k };

	crowd(THREADS, player, &t);
	CHECK(t.hits == THREADS * (ROUNDS / 4));
	/* Nobody has the ball: only the deadline ends this. */
	CHECK(kemu_sleep_until(k, &k->tasks[0].bell, 0, kemu_now() + 1, mine,
			       &(struct seat) { &t, THREADS }) == KEMU_PENDING);
	scrap(k);
}
